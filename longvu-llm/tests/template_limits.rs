//! Templates that would take all stack, memory or time are errors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

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
    assert!(start.elapsed() < Duration::from_secs(10), "{beginning} took {:?}", start.elapsed());
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
    assert!(within(Limits::default().with_template_steps(100)).unwrap_err().to_string().contains("100 steps"));
    assert!(within(Limits::default().with_template_steps(100_000)).unwrap().ends_with("999"));
    assert!(within(Limits::default().with_template_bytes(10)).unwrap_err().to_string().contains("10 allowed"));
}
