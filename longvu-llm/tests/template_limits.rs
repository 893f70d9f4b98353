//! Templates that would take all stack, memory or time are errors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use longvu_core::text::chain;
use longvu_llm::{ChatTemplate, Error, JinjaTemplate, Limits, Message, Role};

/// Loads and renders; the error's text.
fn refused(source: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
    let start = Instant::now();
    let rendered = JinjaTemplate::from_dir(dir.path())
        .and_then(|template| ChatTemplate::Jinja(template.unwrap()).render(&[Message::new(Role::User, "Why?")]));
    let beginning: String = source.chars().take(100).collect();
    assert!(start.elapsed() < Duration::from_secs(10), "{beginning} took {:?}", start.elapsed());
    match rendered {
        Err(error @ Error::ChatTemplate { .. }) => {
            let message = error.to_string();
            assert!(message.contains("chat_template.jinja"), "{message}");
            assert!(message.len() < 5000, "{beginning}: {} bytes", message.len());
            assert!(!message.contains("broke down"), "{beginning}: {message}");
            message
        }
        other => panic!("{beginning} gave {:?}", other.map(|text| text.chars().take(200).collect::<String>())),
    }
}

/// Loads and renders without an end other than an answer or an error, whichever.
fn survives(source: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
    let start = Instant::now();
    if let Ok(template) = JinjaTemplate::from_dir(dir.path()) {
        let _ = ChatTemplate::Jinja(template.unwrap()).render(&[Message::new(Role::User, "Why?")]);
    }
    let beginning: String = source.chars().take(100).collect();
    assert!(start.elapsed() < Duration::from_secs(30), "{beginning} took {:?}", start.elapsed());
}

#[test]
fn values_that_hold_themselves_are_refused() {
    for source in [
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.x = {'a': (ns,)} %}{{ ns|tojson }}",
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a == b }}",
        "{% set ns = namespace() %}{% set ns.x, y = ns, 1 %}{{ ns|string }}",
        "{% set ns = namespace() %}{% set ns.x = dict(a=ns) %}{{ ns ~ '' }}",
        "{% for n in [1, 2] %}{% set ns = namespace() %}{% set ns.x = loop.cycle(ns, ns) %}{{ ns }}{% endfor %}",
    ] {
        assert!(refused(source).contains("namespace"), "{source}");
    }
    // Views show what they showed when they were put in.
    survives("{% set ns = namespace(a=1) %}{% set ns.x = ns.values() %}{{ ns }}{{ ns == ns }}{{ ns|tojson }}");
    survives("{% set ns = namespace(a=1) %}{% set ns.x = ns|items %}{{ ns }}{{ ns|tojson }}");
    survives(
        "{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.l = loop %}{{ ns }}{{ ns.l|tojson }}{% endfor %}",
    );
}

#[test]
fn deep_sources_are_refused_or_rendered() {
    for count in [1_000, 4_000, 100_000] {
        for operator in
            ["+", "~", "-", "*", "**", "%", "//", " and ", " or ", "==", "<", " in ", "|", ".", " if a else "]
        {
            survives(&format!("{{{{ a{} }}}}", format!("{operator}a").repeat(count)));
        }
        survives(&format!("{{{{ a{} }}}}", "[0]".repeat(count)));
        survives(&format!("{{{{ a{} }}}}", "()".repeat(count)));
        survives(&format!("{{{{ a{} }}}}", "|f".repeat(count)));
        survives(&format!("{{{{ a{} }}}}", " is defined".repeat(count)));
        survives(&format!("{{{{ {}1 }}}}", "-".repeat(count)));
        survives(&format!("{{{{ {}1 }}}}", "not ".repeat(count)));
        survives(&format!("{{{{ {}1{} }}}}", "(".repeat(count), ")".repeat(count)));
        survives(&format!("{{{{ {}1{} }}}}", "[".repeat(count), "]".repeat(count)));
        survives(&format!("{{{{ {}1{} }}}}", "{1:".repeat(count), "}".repeat(count)));
        survives(&format!("{{{{ {}1{} }}}}", "f(".repeat(count), ")".repeat(count)));
        survives(&format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(count)));
        survives(&format!("{}{}", "{% if a %}".repeat(count), "{% endif %}".repeat(count)));
        survives(&format!("{}x{}", "{% for a in [1] %}".repeat(count), "{% endfor %}".repeat(count)));
        survives(&format!("{}x{}", "{% generation %}".repeat(count), "{% endgeneration %}".repeat(count)));
        survives(&format!("{}x{}", "{% filter upper %}".repeat(count), "{% endfilter %}".repeat(count)));
        survives(&"{% set x = [x] %}".repeat(count));
        survives(&format!("{{% set {} = 1 %}}", "a, ".repeat(count)));
        survives(&format!("{{% set {}a{} = 1 %}}", "(".repeat(count), ")".repeat(count)));
        survives(&format!("{{% set a{} = 1 %}}", ".a".repeat(count)));
        survives(&format!("{{{{ {} }}}}", "'a' ".repeat(count)));
        survives(&format!("{{{{ f({}) }}}}", "a,".repeat(count)));
    }
    assert!(refused(&format!("{{{{ {}1 }}}}", "-".repeat(100_000))).contains("4096"));
    assert!(refused(&format!("{}{{{{ x }}}}", "{% elif a %}".repeat(10_000))).contains("4096"));
}

#[test]
fn what_grows_without_end_is_refused() {
    for source in [
        "{{ messages|tojson(indent=10000000000) }}",
        "{{ messages|tojson(indent=5000000000000000000) }}",
        "{{ [[[[[1]]]]]|tojson(indent='x' * 10001) }}",
        "{{ '%1000000000000d'|format(1) }}",
        "{{ '%1000000000000d' % 1 }}",
        "{{ '%.1000000000000f' % 1 }}",
        "{{ '%*d' % (1000000000000, 1) }}",
        "{{ '{:1000000000000}'.format(1) }}",
        "{{ '{:.1000000000000f}'.format(1.5) }}",
        "{{ 'a'.center(1000000000000) }}",
        "{{ 'a'.ljust(1000000000000) }}",
        "{{ 'a'.zfill(1000000000000) }}",
        "{{ 'a'|center(1000000000000) }}",
        "{{ ('\\t' * 1000).expandtabs(1000000000000) }}",
        "{{ 'a' * 1000000000000 }}",
        "{{ [0] * 1000000000000 }}",
        "{{ (0,) * 1000000000000 }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
        "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
        "{{ (['a'] * 10000)|join('b' * 1000000) }}",
        "{{ ('b' * 1000000).join(['a'] * 10000) }}",
        "{{ ('a\\n' * 1000000)|indent(1000000000) }}",
        "{{ ('a' * 1000000)|batch(1000000000000, 'x')|list }}",
        "{{ 2 ** 100000000 }}",
        "{% set ns = namespace(s='a' * 16) %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s|length }}",
        "{% set ns = namespace(s='a' * 16) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}",
        "{% set ns = namespace(s='a' * 16) %}{% for i in range(60) %}{% set ns.s = ns.s * 2 %}{% endfor %}{{ ns.s|length }}",
        "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}{{ ns.s|length }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = {'a': ns.s, 'b': ns.s} %}{% endfor %}{{ ns.s == 1 }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(1000) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = dict(a=ns.s, b=ns.s) %}{% endfor %}{{ ns.s }}",
        "{% macro m(x, n) %}{% if n > 0 %}{{ m([x, x], n - 1) }}{% else %}{{ x }}{% endif %}{% endmacro %}{{ m(1, 45) }}",
        "{% for x in [[1]] recursive %}{{ loop([[x, x]]) }}{% endfor %}",
        "{% set x %}{% for i in range(100000) %}{% for j in range(100000) %}aaaaaaaaaa{% endfor %}{% endfor %}{% endset %}x",
        "{{ strftime_now('%1000000000d') }}",
    ] {
        refused(source);
    }
    for doubling in [
        "{% set x = x|zip(x)|list %}",
        "{% set x = [x, x] %}",
        "{% set x = x + x %}",
        "{% set x = x ~ x %}",
        "{% set x = dict(a=x, b=x) %}",
        "{% set x = x * 2 %}",
        "{% set x = (x, x) %}",
        "{% set x = x|groupby('a') %}",
        "{% set x = {x: x} %}",
        "{% set x = x|batch(2)|list %}",
        "{% with y = [x, x] %}{% set x = y %}{% endwith %}",
    ] {
        for end in [
            "{{ x }}",
            "{{ x == x }}",
            "{{ x ~ '' }}",
            "{{ x|tojson }}",
            "{{ {x: 1} }}",
            "{{ [x]|unique|list }}",
            "{{ x in [x] }}",
            "{{ x|string }}",
            "{{ x|upper }}",
            "{{ [x, x]|sort }}",
            "{{ '%s' % (x,) }}",
            "{{ [x]|join }}",
        ] {
            survives(&format!("{{% set x = [1] %}}{}{end}", doubling.repeat(60)));
        }
    }
}

#[test]
fn what_never_ends_is_refused() {
    for source in [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{{ i }}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% set x = 'a' ~ i %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% if i == j == 0 %}{% endif %}{% endfor %}{% endfor %}x",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% macro m(n) %}{% for i in range(100) %}{{ m(n + 1) if n < 20 }}{% endfor %}{% endmacro %}{{ m(0) }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set x = range(90000)|list %}{% for i in range(100000) %}{{ x|sum }}{% endfor %}",
        "{% set x = range(90000)|list %}{% for i in range(100000) %}{% if [x] == [range(90000)|list] %}{% endif %}{% endfor %}x",
        "{% set x = [range(90000)|list] %}{% for i in range(100000) %}{% if x|unique|list|length == 5 %}{% endif %}{% endfor %}x",
        "{% set x = [range(90000)|list] %}{% for i in range(100000) %}{% if x in x %}{% endif %}{% endfor %}x",
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% if x.count('b') %}{% endif %}{% endfor %}x",
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% if x is upper %}{% endif %}{% endfor %}x",
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% if x|length == 3 %}{% endif %}{% endfor %}x",
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% if x == x ~ '' %}{% endif %}{% endfor %}x",
        "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% for c in x %}{% endfor %}{% endfor %}x",
    ] {
        refused(source);
    }
}

#[test]
fn ordinary_work_stays_within_the_limits_and_they_can_be_raised() {
    let dir = tempfile::tempdir().unwrap();
    let source = "{% set ns = namespace(text='', roles=[]) %}{% for m in messages %}{% set ns.roles = ns.roles + [m.role] %}\
        {% set ns.text = ns.text ~ m.role|upper ~ ': ' ~ m.content.strip().replace('a', 'b') ~ '\n' %}{% endfor %}\
        {{ ns.text }}{{ ns.roles|length }}";
    std::fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
    let turns = [Role::User, Role::Assistant].into_iter().cycle();
    let messages: Vec<Message> = turns.take(200).map(|role| Message::new(role, "aaaa ".repeat(400))).collect();
    let template = JinjaTemplate::from_dir(dir.path()).unwrap().unwrap();
    let text = ChatTemplate::Jinja(template).render(&messages).unwrap();
    assert!(text.ends_with("\n200") && text.len() > 200 * 1999, "{}", text.len());

    std::fs::write(dir.path().join("chat_template.jinja"), "{% for i in range(1000) %}{{ i }}{% endfor %}").unwrap();
    let within = |limits: Limits| {
        let template = JinjaTemplate::from_dir_with(dir.path(), &limits)?.unwrap();
        ChatTemplate::Jinja(template).render(&[Message::new(Role::User, "?")])
    };
    assert!(
        within(Limits::default().with_template_steps(100))
            .unwrap_err()
            .to_string()
            .contains("116 steps allowed (100, and 16")
    );
    assert!(within(Limits::default().with_template_steps(100_000)).unwrap().ends_with("999"));
    assert!(chain(&within(Limits::default().with_template_bytes(10)).unwrap_err()).contains("10 allowed"));
}

/// Runs a test's body in a process of its own, whose memory nothing else takes. Whether this is that process.
#[cfg(target_os = "linux")]
fn in_a_process_of_its_own(test: &str) -> bool {
    const MARK: &str = "LONGVU_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program).args(["--exact", test]).env(MARK, "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    false
}

/// Bytes of memory that loading and rendering takes at most.
#[cfg(target_os = "linux")]
fn most_memory(source: &str) -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    survives(source);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_made_is_paid_for_before() {
    if !in_a_process_of_its_own("what_is_made_is_paid_for_before") {
        return;
    }
    let long = "a".repeat(900_000);
    let raw = format!("{{% set x %}}{{% for i in range(300) %}}{long}{{% endfor %}}{{% endset %}}{{{{ x|length }}}}");
    let mut wrong = Vec::new();
    for source in [
        "{{ ('\\t' * 400000).expandtabs(10000)|length }}",
        "{{ ('{0:9999}' * 400000).format('x')|length }}",
        "{{ ('{0}{1}' * 400000).format('x' * 10000, [1] * 10000)|length }}",
        "{{ ('{0:🎬>9999}' * 100000).format('x')|length }}",
        "{{ ('{a}' * 100000).format(a={'b': 'x' * 100000})|length }}",
        "{{ (',' * 60000000).split(',')|length }}",
        "{{ (',' * 60000000).rsplit(',')|length }}",
        "{{ (' a' * 30000000).split()|length }}",
        "{{ (' a' * 30000000).rsplit()|length }}",
        "{{ ('\\n' * 60000000).splitlines()|length }}",
        "{{ ('a' * 100000000).partition('b')|length }}",
        "{{ ('a' * 100000000).strip()|length }}",
        "{{ ('a' * 100000000).title()|length }}",
        "{{ ('ΐ' * 40000000).upper()|length }}",
        "{{ ('ΐ' * 40000000).title()|length }}",
        "{{ ('ΐ' * 40000000)|upper|length }}",
        "{{ ['ΐ' * 40000000]|map('upper')|list|length }}",
        "{{ ('\"' * 80000000)|e|length }}",
        "{{ ('%a' % ('🎬' * 20000000))|length }}",
        "{{ ('%r' % ('\\x01' * 80000000))|length }}",
        "{{ ('%s%s%s%s%s%s%s%s' % (('a' * 50000000,) * 8))|length }}",
        "{{ ('\\x01' * 80000000)|tojson|length }}",
        "{{ ([[1] * 1000] * 90)|tojson(separators=('a' * 50000000, 'a' * 50000000))|length }}",
        "{{ (['a' * 1000000] * 3000)|pprint|length }}",
        "{{ (['a' * 1000000] * 3000)|upper|length }}",
        "{{ (['a' * 1000000] * 3000)|safe|length }}",
        "{{ (['a' * 1000000] * 3000)|e|length }}",
        "{{ (['a' * 1000000] * 3000) is upper }}",
        "{{ (['a' * 1000000] * 3000)|sum(start='')|length }}",
        "{{ [1]|join(',', attribute=['a' * 1000000] * 3000) }}",
        "{{ raise_exception(['a' * 1000000] * 3000) }}",
        "{{ raise_exception('a' * 100000000) }}",
        "{{ ('a' * 100000000)[::-1]|length }}",
        "{{ ('a' * 100000000)[1:]|length }}",
        "{{ []|slice(9000000)|length }}",
        "{{ ('a' * 9000000)|batch(1)|length }}",
        "{{ ['a' * 9000000]|map('batch', 1)|list|length }}",
        "{{ ('a' * 60000000)|list|length }}",
        "{{ ('a\\n' * 1000000)|indent(280)|length }}",
        "{{ ('a\\n' * 50000000).replace('\\n', 'bbbbbb')|length }}",
        "{{ strftime_now('%99d' * 9000000)|length }}",
        "{{ 'a' * 100000000 }}",
        &raw,
    ] {
        let most = most_memory(source);
        if most > 500_000_000 {
            wrong.push(format!("{} MB: {}", most / 1_000_000, source.chars().take(100).collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comparisons_and_searches_are_paid_for() {
    let zeros = "0".repeat(400_000);
    for source in [
        "{% set x = 'a' * 1000000 %}{{ ([x] * 90000).count(x[1:] ~ 'b') }}",
        "{% set x = 'a' * 1000000 %}{{ ([x] * 90000 + [1]).index(1) }}",
        "{% set x = 'a' * 1000000 %}{{ [x] * 45000 == [x[1:] ~ 'a'] * 45000 }}",
        "{% set x = 'a' * 1000000 %}{{ (x[1:] ~ 'b') in [x] * 90000 }}",
        "{% set x = 'a' * 1000000 %}{{ ([x] * 45000 + [x[1:] ~ 'a'] * 45000)|sort|length }}",
        "{% set x = 'a' * 1000000 %}{{ [[x] * 45000 + [x[1:] ~ 'a'] * 45000]|map('sort')|list|length }}",
        "{% set x = 'a' * 1000000 %}{{ x.startswith((x ~ 'b',) * 90000) }}",
    ] {
        assert!(refused(source).contains("steps"), "{source}");
    }
    survives("{{ ('b' * 1000000).strip('a' * 1000000 ~ 'b')|length }}");
    survives("{{ ('b' * 1000000)|trim('a' * 1000000 ~ 'b')|length }}");
    survives(&format!("{{{{ '{{:{zeros}5}}'.format(1) }}}}"));
}

#[test]
fn what_is_cut_and_added_up_is_pythons() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (source, expected) in [
        ("{{ 'größe'[1:4] }}|{{ 'größe'[::-1] }}|{{ 'größe'[-2:] }}|{{ 'größe'[:-2:2] }}", "röß|eßörg|ße|gö"),
        ("{{ 'größe'[3:0:-2] }}|{{ 'größe'[10:] }}|{{ 'größe'[-10:2] }}|{{ 'größe'[:-10:-1] }}", "ßr||gr|eßörg"),
        ("{{ [1, 2, 3, 4][1:] }}{{ [1, 2, 3, 4][::-1] }}{{ [1, 2, 3, 4][-1:0:-2] }}", "[2, 3, 4][4, 3, 2, 1][4, 2]"),
        ("{{ (1, 2, 3)[:2] }}{{ (1, 2, 3)[5:] }}{{ [][::-1] }}{{ range(5)[1:3] }}", "(1, 2)()[][1, 2]"),
        ("{{ [1, 2, 3][9223372036854775807:0:-1] }}{{ [1, 2][::9223372036854775807] }}", "[3, 2][1]"),
        ("{{ [1, 2.5]|sum }}|{{ [{'a': 2}, {'a': 3}]|sum('a') }}|{{ [[1], [2]]|sum(start=[]) }}", "3.5|5|[1, 2]"),
        ("{{ 'a\\n\\nb'|indent(2) }}|{{ 'a\\nb'|indent(width=1, first=true) }}", "a\n\n  b| a\n b"),
        ("{{ 'a\\tb\\n\\tc'.expandtabs(4) }}|{{ 'a\\tb'.expandtabs(0) }}", "a   b\n    c|ab"),
        ("{{ '{:05d}|{}|{a}'.format(7, [1, 'b'], a='c') }}", "00007|[1, 'b']|c"),
        ("{{ '%-4s|%.2s|%a' % ('é', 'größe', 'é🎬') }}", "é   |gr|'\\xe9\\U0001f3ac'"),
        (
            "{{ 'aΐ'|upper }}|{{ 'ÄB'|lower }}|{{ 'AB' is upper }}|{{ 'aB' is lower }}|{{ 'äB'.upper() }}",
            "AΙ\u{308}\u{301}|äb|True|False|ÄB",
        ),
        ("{{ '<a>'|e }}|{{ 'xaxbx'.strip('x') }}|{{ 'xax'.lstrip('yx') }}|{{ ' ab '|trim }}", "&lt;a&gt;|axb|ax|ab"),
    ] {
        std::fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
        let template = ChatTemplate::Jinja(JinjaTemplate::from_dir(dir.path()).unwrap().unwrap());
        match template.render(&[Message::new(Role::User, "?")]) {
            Ok(text) if text == expected => {}
            got => wrong.push(format!("{source}\n  expected {expected:?}\n  got      {got:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
