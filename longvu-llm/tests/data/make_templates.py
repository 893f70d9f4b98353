"""Writes templates.json: chat templates with what Hugging Face's transformers makes of them.

    pip install jinja2 transformers
    python make_templates.py
"""

import datetime
import json
import pathlib

import transformers.utils.chat_template_utils as hugging_face

MESSAGES = [
    {"role": "system", "content": "  Be brief.\n"},
    {"role": "user", "content": "<image>\nWhat's \"this\" & <that>?"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nA größer cat \U0001f408.\t"},
    {"role": "user", "content": "Why?"},
]
NOW = datetime.datetime(2000, 2, 29, 7, 5, 9)

EXPRESSIONS = """
"%s" % "x"
"%s and %s" % ("a", 1)
"%5s|%-5s|%.2s" % ("ab", "ab", "abc")
"%d %i %05d %+d % d %-4d|" % (3, 4.9, 42, 5, 6, 7)
"%x %X %o %#x" % (255, 255, 8, 255)
"%f %.2f %e %g %G %.3g" % (1.5, 2.345, 12345.678, 0.0001, 1e20, 1234567)
"%r %r %a" % ("it's", [1, "a"], "ä")
"%%|%c|%c" % (65, "z")
"%(name)s is %(age)03d" % {"name": "A", "age": 7}
"%*d|%.*f" % (5, 42, 1, 2.55)
"%s" % [1, 2]
"%s" % none
"%s" % true
"100%%" % ()
"%s" % ("x" ~ 1)
"%s%%" % 5|string
"a%sb" % "-" + "c"
("%s" % "x").upper()
7 % 3
-7 % 3
7 % -3
7.5 % 2
-7.5 % 2
7 * 3 % 4 * 2
2 ** 3 ** 2
-2 ** 2
7 // 2
-7 // 2
7 / 2
1e16
1e15
1e-5
0.1 + 0.2
10 / 4
3.0
1e100
"ab" * 3
3 * "ab"
[1, 2] * 2
[1] + [2, "x"]
(1, 2) + (3,)
1 ~ "a" ~ none ~ true ~ 1.5
[1, "a'b", "a\\"b", 'q"\\'', none, true, 2.5, {"k": ["v"]}, (1,), (), "ä\\n\\t\\\\"]
{"a": 1, "b": [1, 2], 3: none}
["x"] ~ ["y"]
"x" ~ {"a": "b"}
messages[0]
messages[1]["content"] ~ messages[0]
"abc".removeprefix("a") ~ "abc".removeprefix("x") ~ "abc".removesuffix("bc") ~ "abc".removesuffix("")
"a-b-c".partition("-")
"a-b-c".rpartition("-")
"abc".partition("-")
"abc".rpartition("-")
"a b  c ".split()
"a b  c ".split(" ")
"a,b,c".split(",", 1)
"a,b,c".split(",", maxsplit=1)
"a,b,c".split(sep=",")
" a b  c ".split(None, 1)
"a,b,c".rsplit(",", 1)
" a b  c ".rsplit(None, 1)
"a,b,c".rsplit(",")[-1]
"</think>" in messages[2].content
messages[2].content.split("</think>")[-1].lstrip("\\n")
messages[2].content.split("</think>")[0].rstrip("\\n").split("<think>")[-1].lstrip("\\n")
messages[2]["content"].strip()
"xxaxx".strip("x") ~ "xxaxx".lstrip("x") ~ "xxaxx".rstrip("x")
" \\x1c a\\x1f ".strip()|length
"a\\r\\nb\\nc\\n".splitlines()
"a\\r\\nb\\nc".splitlines(true)
"hello world".title() ~ "they're".title() ~ "hELLO".capitalize() ~ "aBc".swapcase() ~ "Straße".casefold()
"they're bill's"|title
"hELLO wORLD"|capitalize
"abc".find("c") ~ "abc".find("x") ~ "abcabc".rfind("b") ~ "abcabc".index("c") ~ "abcabc".find("b", 2) ~ "abcabc".count("b")
"aaaa".count("aa") ~ "abcabc".count("b", 2) ~ "abc".count("")
"abc".startswith("a") ~ "abc".startswith(("x", "a")) ~ "abc".endswith("c") ~ "abc".startswith("b", 1) ~ "abc".endswith("b", 0, 2)
"ab".center(6) ~ "|" ~ "ab".center(7, "*") ~ "|" ~ "abc".center(6, "*") ~ "|" ~ "ab".ljust(4) ~ "|" ~ "ab".rjust(4, "0") ~ "|" ~ "-5".zfill(4) ~ "5".zfill(3)
"ab"|center(7) ~ "|" ~ "abc"|center(6) ~ "|"
"a\\tb".expandtabs(4)
"aXbX".replace("X", "-") ~ "aXbX".replace("X", "-", 1) ~ "abc".replace("", "-") ~ "abc".replace("b", "")
"aXbX"|replace("X", "-") ~ "aXbX"|replace("X", "-", 1)
", ".join(["a", "b"]) ~ "".join(("x", "y")) ~ "-".join("abc")
[1, "a", none]|join(", ")
messages|join(", ", attribute="role")
messages|map(attribute="role")|join("/")
messages|map(attribute="content")|map("length")|list
messages|selectattr("role", "equalto", "user")|map(attribute="content")|list
messages|rejectattr("role", "equalto", "user")|map(attribute="role")|list
messages|selectattr("role", "in", ["user", "system"])|list|length
(messages|selectattr("role", "eq", "user")|list)[-1].content
[3, 1, 2]|sort ~ [3, 1, 2]|sort(reverse=true) ~ ["b", "A"]|sort
[1, 2, 3]|sum ~ [1, 2, 3]|min ~ [1, 2, 3]|max ~ [1, 2, 3]|first ~ [1, 2, 3]|last
[1, 2, 2, 3]|unique|list
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3]|reverse|list
"abc"|reverse
[0, 1, 2, 3, 4][1:] ~ [0, 1, 2, 3, 4][:-1] ~ [0, 1, 2, 3, 4][::2] ~ [0, 1, 2, 3, 4][::-1] ~ "abcd"[1:3] ~ "abcd"[::-1]
[0, 1][-1] ~ "abc"[-1]
{"a": 1}.items()|list
{"b": 1, "a": 2}|dictsort
{"a": 1}|items|list
{"a": 1}.get("a") ~ {"a": 1}.get("b") ~ {"a": 1}.get("b", 5) ~ {"a": 1}.keys()|list ~ {"a": 1}.values()|list
dict(a=1, b="x")
"a" in {"a": 1} and "b" not in {"a": 1}
"%s words" % ("one two_three, four-five 6"|wordcount)
"a b"|wordcount
raise_exception is callable
"x" is callable
range is callable
none is callable
messages is iterable and messages is sequence and messages[0] is mapping and "a" is string
1 is number and 1.5 is float and 1 is integer and true is boolean and none is none
x is defined or x is undefined
5 is odd and 4 is even and 6 is divisibleby 3
(1 is sameas 1) ~ (2 is in [1, 2]) ~ (2 is gt 1) ~ (1 is lessthan 2)
"abc" is lower and "ABC" is upper
x|default("d") ~ ""|default("e", true) ~ "f"|default("g") ~ none|default("h", true)
messages[9] is defined
messages[0].absent is defined ~ (messages[0].absent or "none")
"a" if true else "b"
"" ~ ("a" if false)
not true or false and true
(1 < 2 < 3) ~ (1 < 3 < 2)
(1 == 1.0) ~ ("1" == 1) ~ ([1] == [1]) ~ ((1,) == [1])
-3|abs ~ 2.567|round(2) ~ 2.5|round ~ 3|float ~ "42"|int ~ "x"|int ~ "x"|int(7) ~ "1.5"|float ~ 3.9|int
"  a "|trim ~ "xax"|trim("x") ~ "A"|lower ~ "a"|upper
"a<b"|e
"one two three four"|truncate(9, end="", leeway=0)
"one two three four"|truncate(9)
"one two three four"|truncate(11, true, "!", 0)
"a\\nb"|indent(2) ~ "a\\nb"|indent(2, true) ~ "a\\n\\nb"|indent(2, false, true)
"%s and %s"|format("a", 2)
"%(a)s"|format(a="x")
"{} {}".format("a", 1) ~ "{0}{1}{0}".format("x", "y") ~ "{a}".format(a=1) ~ "{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}".format("a", "b", "c", 42, 3.14159, 1234567)
"{!r}".format("x") if false else "skip"
"{}".format([1, "a"])
messages|tojson
messages[2]|tojson(ensure_ascii=true)
messages[2]|tojson(true)
{"b": [1, 2.5, none, true], "a": {"x": {}, "y": []}}|tojson
{"b": [1, 2], "a": {"x": {}, "y": []}}|tojson(indent=2)
{"b": [1, 2], "a": {"x": 1}}|tojson(indent=4, sort_keys=true)
{"b": [1, 2], "a": 3}|tojson(separators=(",", ":"))
{"b": [1, 2], "a": 3}|tojson(separators=(",", ":"), sort_keys=true)
{"b": [1, 2], "a": 3}|tojson(indent=1, separators=(",", ":"))
{"b": [1]}|tojson(indent="\\t")
{"b": [1]}|tojson(indent=0)
{1: "a", none: "b", true: "c", 1.5: "d"}|tojson
"quote\\" back\\\\ nl\\n tab\\t bell\\x07 del\\x7f é \U0001f408"|tojson
"quote\\" del\\x7f é \U0001f408"|tojson(ensure_ascii=true)
1e16|tojson ~ 0.1|tojson ~ 3|tojson ~ "a"|tojson ~ none|tojson
(1, 2)|tojson
"a\\u0301" ~ 'it\\'s' ~ "\\x41"
'a' 'b'
"isdigit: " ~ "12".isdigit() ~ "a1".isdigit() ~ "".isdigit() ~ "a1".isalnum() ~ "ab".isalpha() ~ " ".isspace() ~ "Ab".istitle() ~ "ab".islower() ~ "AB".isupper() ~ "12".isdecimal() ~ "12".isnumeric()
[1, 2, 1].count(1) ~ [1, 2].index(2)
(messages|length) ~ (messages|count) ~ "abc"|length
loop is defined
strftime_now("%-d %B %Y")
strftime_now("%d %b %Y") ~ strftime_now("%Y-%m-%d")
strftime_now("%A, %-d. %B %y, %-H:%M:%S %p %-I %I %l|%k|%e|%j|%-j|%U|%W|%V|%G|%u|%w|%C|%D|%F|%T|%R|%r|%c|%x|%X|%h|%P|%^a|%^B|%#p|%_d|%_m|%-m|%%|%n|%t|%f|%z|%Z|%5d|%-y|%g")
[] or "empty"
[[1, 2], [3]]|map("first")|list
["a", "b"]|map("upper")|join
[{"n": {"m": 1}}]|map(attribute="n.m")|list
[1, none, 2]|select|list
[1, 2, 3, 4]|select("odd")|list ~ [1, 2, 3]|reject("odd")|list
"a,b"|string|length
"x" * 0 ~ "|" ~ "x" * -1
true + 1
namespace(a=1).a
namespace(a=1, b="x")
true is number ~ (true is integer)
"abc"|first ~ "abc"|last ~ "abc"|list
1_000
0x10
"a" < "b" and [1] < [2]
"1_000"|int ~ " 5 "|int ~ "ff"|int(0, 16) ~ true|int ~ none|int ~ "1e3"|float ~ none|float(2.5) ~ true|float
"%s" % {"a": 1}
"%s" % ({"a": 1},)
"%s" % (messages[0].role,) ~ "%s" % messages[0].role
"%.3s" % "größer" ~ "%6.2f|" % 3.14159 ~ "%-8s|" % "ab" ~ "%+.1e" % 12345.678 ~ "%08.3f" % -3.14159 ~ "%5d%%" % 50
"%g %g %g" % (100000, 1000000, 0.00001)
"%s" % 1e20 ~ " " ~ 1e20 ~ " " ~ 123456789012345678 ~ " " ~ 1.0e3 ~ " " ~ -0.0 ~ " " ~ 1e-7
1 / 3
2 ** -1
2 ** 0.5
10 // 3 ~ 10.0 // 3 ~ -10 // 3 ~ 10 % 3.5
7.0 % -3 ~ " " ~ -7.0 % 3 ~ " " ~ -6 % 3
[1, 2, 3]|length + 1
"a" "b" ~ 'c'
("a", "b") ~ ("a",) ~ ()
"%s" % ("a" if true else "b")
"a" if false
{"a": {"b": 1}}.a.b ~ {"a": {"b": 1}}["a"]["b"]
{"a": 1}["b"] is defined
[{"a": 2}, {"a": 1}]|sort(attribute="a")|map(attribute="a")|list
[{"a": 2}, {"b": 1}]|selectattr("a", "defined")|list
[{"a": 2}, {"a": none}]|selectattr("a")|list
[{"a": 2}, {"a": none}]|rejectattr("a", "none")|map(attribute="a")|list
[{"a": 2}, {}]|map(attribute="a", default="z")|list
[1, 2, 3]|map("string")|join("+")
["b", "A", "c"]|sort(case_sensitive=true)
{"b": 1, "a": 2}|dictsort(by="value")
[1, 2, 3, 4, 5]|slice(2)|list
[1, 2, 3]|batch(2, "x")|list
range(3)|list ~ range(1, 10, 3)|list ~ range(3, 0, -1)|list
"abc"|list ~ "abc"[0] ~ "abc"[-2:]
"a-b_c"|title ~ "x"|capitalize ~ "ÄÖ"|lower ~ "ß"|upper
"Hello World"|replace("o", "0", 1)|lower
"   x"|trim ~ "x   "|trim ~ "|"
"line1\\nline2"|indent(4, first=true)
"{:,.2f}".format(1234.5) ~ "{:>8}".format("ab") ~ "{:08.2f}".format(3.14159) ~ "{:x}".format(255) ~ "{:+d}".format(5) ~ "{{}}".format()
"{0.role}" if false else "x"
"a,b;c".replace(",", ";").split(";")
"key: value".partition(": ")[2]
"a.b.c".rsplit(".", 1)[0] ~ "a.b.c".split(".")|last
"hello"|first|upper ~ "hello"[1:]
messages[0]["role"] == "system" and messages|length > 1
messages[-1]["role"] ~ messages[:-1]|length ~ messages[1:][0].role
(messages|map(attribute="role")|list).index("user")
messages|selectattr("role", "ne", "system")|first|tojson
"system" in messages|map(attribute="role")
messages[0].keys()|list ~ messages[0].values()|list|length
messages[0].items()|list|length
none == none and not none
true and 1 and "x" or 0
"x" in ["x"] and 1 not in (2, 3) and "a" in "abc"
1 if messages else 2
"\\t\\"\\\\'"|tojson ~ "\\t\\"\\\\'" ~ ["\\t\\"\\\\'"]
["\\u00e9\\u0301\\u200b\\x7f\\x00\\u2028\\U0001f408 "]
["größer", "日本", "a\\u0300"]
{"a": true, "b": none, "c": 1.0}|tojson
[1.0, 1e20, 1e-7, 123456789.123]|tojson
{"z": 1, "a": {"y": 2, "b": 3}}|tojson(sort_keys=true, indent=2, ensure_ascii=false, separators=(", ", " = "))
[]|tojson(indent=2) ~ {}|tojson(indent=2) ~ [[]]|tojson(indent=1) ~ [{}]|tojson(indent=none)
"a"|tojson|length
namespace is callable ~ "a".upper is callable ~ (absent is callable)
"\\q\\/ \\101 \\a|\\v|\\b|\\f|\\U0001f408\\U00000041"
(none is iterable) ~ ("a" is iterable) ~ (1 is iterable) ~ (absent is iterable) ~ ({} is iterable) ~ (messages[1:] is iterable)
(none is sequence) ~ ("a" is sequence) ~ (messages[1:] is sequence) ~ ({} is sequence) ~ (range(3) is sequence) ~ (1 is sequence)
(messages[0] is mapping) ~ ([] is mapping) ~ (namespace() is mapping) ~ ("a" is mapping)
tools is iterable and tools|length > 0
(1.5 is odd) ~ (3.0 is odd) ~ (true is odd) ~ (2 is even) ~ (-3 is odd)
1 in absent
"abc"|string ~ [1]|string ~ none|string ~ 1.5|string
"abc"|wordcount ~ ""|wordcount ~ "it's 5 o'clock"|wordcount
"AbC".swapcase() ~ "ab cd".title() ~ "aB".casefold() ~ "x".isalpha() ~ "é".isalpha() ~ "１".isdigit() ~ "²".isdigit() ~ "½".isnumeric() ~ "a b".isspace()
""".strip("\n").split("\n")

TEMPLATES = {
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "generation with white space": "{%- for m in messages %}\n  <{{ m.role }}>\n  {%- generation -%}\n   {{ m.content }}\n"
    "  {%- endgeneration -%}\n  |\n  {% generation %}\n  x\n  {% endgeneration %}\n  {%+ generation %}y{%+ endgeneration %}\n{% endfor %}",
    "generation has a scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}"
    "{% generation %}{% generation %}{{ x }}{% endgeneration %}{% endgeneration %}",
    "generation as a name": "{% set generation = 'g' %}{{ generation }}{# {% generation %} #}{% raw %}{% generation %}{% endraw %}",
    "chat ml": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "tools or none": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "instructions": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
""",
    "turns": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
""",
    "reasoning": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}"
    "{{bos_token}}{{ns.system_prompt}}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + '<|end|>'}}{%- endif %}{%- endfor -%}"
    "{% if ns.is_tool %}{{'x'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|><think>\\n'}}{% endif %}",
    "macros and dates": """{%- macro render(message, name="x") -%}
{{ name }}:{{ message.role | upper }}={{ caller() if caller is defined else message.content | trim }}
{%- endmacro -%}
{%- set today = strftime_now("%d %B %Y") -%}
{{ today }}
{% for m in messages %}
{{ render(m) }};{{ render(m, name=loop.cycle("a", "b")) }}
{% call render(m, "c") %}called {{ m.role }}{% endcall %}

{% else %}
none
{% endfor %}
{% filter upper %}filtered {{ messages|length }}{% endfilter %}
{% set block %}captured
{{ messages[0].role }}{% endset %}
{{ block|trim|replace("\\n", "/") }}
{%- with a = 1, b = "two" %} {{ a ~ b }}{% endwith %}""",
    "loops": "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
    "{{ loop.previtem.content if loop.previtem is defined }}{{ loop.nextitem is defined }}{{ loop.changed(m.role) }};{% endfor %}"
    "{% for k, v in messages[0].items() %}{{ k }}={{ v|trim }},{% endfor %}{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}"
    "{% if loop.index == 4 %}{% break %}{% endif %}{{ m.role }} {% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}"
    "{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is iterable else x }}.{{ loop.depth }}{% endfor %}",
    "lists grow in a namespace": "{% set ns = namespace(parts=[], seen={}) %}{% for m in messages %}{% set ns.parts = ns.parts + [m.role] %}"
    "{% set ns.seen = dict(ns.seen, **{m.role: loop.index}) %}{% endfor %}{{ ns.parts|join(',') }}{{ ns.seen }}{% set a, b = 1, [2] %}{{ a }}{{ b }}",
    "white space": "  {% if true %}\n  a\n  {% endif %}\n\n{#- c -#}\n  b {{- ' c ' -}} d\n  {%+ if true +%}\n  e\n  {%+ endif %}\n{# x #}\n{{ '\\n' }}\n\n",
    "a line end at the end is dropped": "x\n",
    "carriage returns": "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc",
    "undefined": "[{{ absent }}][{{ absent ~ 'x' }}][{{ absent is defined }}][{{ messages[0].absent }}][{{ (absent or 'y') }}]{% for x in absent %}{% endfor %}"
    "{% if absent %}{% endif %}[{{ absent|default('d') }}][{{ absent|length }}][{{ [absent] }}]",
}

ERRORS = [
    'tools < 1', 'bos_token < 1', 'messages < 1', 'messages[0] < messages[1]', '1 in tools', '1 in bos_token', '1 in add_generation_prompt',
    'absent < 1', '"a" is odd', 'none is even',
    '"%s %s" % "a"', '"%s" % ("a", "b")', '"%d" % "x"', '"abc" % 1', '"%q" % 1', '"%(a)s" % 1', '1 + "a"', '"a" + 1', 'absent + 1',
    'absent.a.b', '"a".partition("")', '"a".absent()', '[1].append(2)', '"a"|absent', '1 is absent', '1 % 0', '1 / 0', '", ".join([1])',
    '[1, 2]|tojson(wrong=1)', 'absent|tojson', 'raise_exception("no")', '"a".index("x")', '[1] + (2,)', 'messages.absent()', '"a".split("")',
    '{"a": 1}|tojson(separators=",")', '{1: 2, "a": 3}|tojson(sort_keys=true)', '[1]|zip([2])', '"abc"|lines', 'debug()', '{"a": 1}.update({})',
    'range(10)|tojson if false else absent.x', 'namespace(1)', 'dict(1)', '"%s" % absent.x',
]


def render(source, **context):
    template = hugging_face._compile_jinja_template(source)
    return template.render(
        messages=MESSAGES, tools=None, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>",
        **context,
    )


class Now(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    hugging_face.datetime = Now
    cases = [{"name": source, "source": "[{{ " + source + " }}]"} for source in EXPRESSIONS if source.strip()]
    cases += [{"name": name, "source": source} for name, source in TEMPLATES.items()]
    for case in cases:
        try:
            case["rendered"] = render(case["source"])
        except Exception as error:
            raise SystemExit(f"{case['source']}: {error}")
    for source in ERRORS:
        source = "[{{ " + source + " }}]"
        try:
            rendered = render(source)
        except Exception:  # noqa: BLE001 whatever Python raises is an error
            cases.append({"name": "error: " + source, "source": source, "rendered": None})
        else:
            raise SystemExit(f"{source} is no error: {rendered}")
    data = {"messages": MESSAGES, "now": int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp()), "cases": cases}
    path = pathlib.Path(__file__).with_name("templates.json")
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


main()
