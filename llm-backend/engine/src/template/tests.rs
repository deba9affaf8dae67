use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: DateTime = DateTime::constant(2026, 11, 22, 9, 0, 0, 0);

fn turn<'a>(role: &'a str, content: &'a str) -> PromptMessage<'a> {
    PromptMessage { role, content: content.into(), reasoning_content: None }
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(Some(source), "<s>", "</s>").unwrap()
}

fn text(source: &str) -> String {
    template(source)
        .render(&[json!({ "role": "user", "content": "안녕", "list": [1, "a"] })], NOW)
        .unwrap()
}

#[test]
fn a_model_without_a_template_gets_chatml() {
    let chatml = ChatTemplate::new(None, "<s>", "</s>").unwrap();
    let turns = vec![
        turn("system", "Be kind"),
        turn("user", "Hi"),
        turn("assistant", "Ho"),
        turn("user", "?"),
    ];
    assert_eq!(
        chatml.prompt(turns, NOW).unwrap(),
        "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n\
         <|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn what_templates_use_is_there() {
    for (source, expected) in [
        ("{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}", "<s>안녕</s>"),
        ("{{ strftime_now('%d %b %Y') }}", "22 Nov 2026"),
        ("{{ messages[0].get('list') | default([1, 'a']) | tojson }}", "[1, \"a\"]"),
        ("{{ {'a': '안', 'b': {}} | tojson }}", "{\"a\": \"안\", \"b\": {}}"),
        ("{{ {'a': [1]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ]\n}"),
        ("{{ none }} {{ true }} {{ tools is none }} {{ 1 }}", "None True True 1"),
        (
            "{% for m in [1, 2, 3] %}\n{% if m == 2 %}{% break %}{% endif %}\n{{ m }}{% endfor %}",
            "1",
        ),
        ("  {% generation %}\nx{%- endgeneration -%} \ny", "xy"),
        ("{{ ' Ab '.strip().lower() }}{{ 'a-b'.split('-')[-1] }}{{ 'abc'[::-1] }}", "abbcba"),
    ] {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn a_template_that_fails_is_named_and_repeats_nothing_of_the_conversation() {
    let error = |source: &str| ChatTemplate::new(Some(source), "", "").unwrap_err();
    assert!(matches!(error("a\n{% if %}"), TemplateError::Syntax { line: 2, .. }));
    assert!(matches!(error("{{ unknown() }}"), TemplateError::Failed { line: 1, .. }));
    assert_eq!(error("{{ raise_exception('No.') }}"), TemplateError::Refused("No.".to_owned()));

    let quoting = "{% if messages[0].content != 'Hi' %}{{ raise_exception('no: ' + messages[0].content) }}{% endif %}";
    let refused = template(quoting).render(&[turn("user", "my secret")], NOW).unwrap_err();
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[test]
fn an_endless_template_ends() {
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    assert!(matches!(ChatTemplate::new(Some(endless), "", ""), Err(TemplateError::Failed { .. })));
}

#[test]
fn the_households_words_stand_first_where_there_is_no_system_message() {
    let plain = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    let refusing = format!(
        "{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no system') }}}}{{% endif %}}{plain}"
    );
    let skipping = "{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}:{{ m.content }}]{% endif %}{% endfor %}";
    let turns = || {
        vec![
            turn("system", "Be kind"),
            turn("user", "Hi"),
            turn("assistant", "Ho"),
            turn("user", "?"),
        ]
    };
    assert_eq!(
        template(plain).prompt(turns(), NOW).unwrap(),
        "[system:Be kind][user:Hi][assistant:Ho][user:?]"
    );
    for source in [&*refusing, skipping] {
        let prompt = template(source).prompt(turns(), NOW).unwrap();
        assert_eq!(prompt, "[user:Be kind\n\nHi][assistant:Ho][user:?]");
        let alone = template(source).prompt(vec![turn("system", "Be kind")], NOW).unwrap();
        assert_eq!(alone, "[user:Be kind]");
        let empty =
            template(source).prompt(vec![turn("system", ""), turn("user", "Hi")], NOW).unwrap();
        assert_eq!(empty, "[user:Hi]");
    }
}

/// Thirteen models' templates, with prompts that jinja2 rendered.
#[test]
#[ignore = "needs: shared"]
fn prompts_are_byte_for_byte_those_of_jinja2() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/chat-templates");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let file: serde_json::Value = serde_json::from_str(&read("cases.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let source = read(&format!("{}.jinja", text(&case["template"])));
        let messages = file["conversations"][text(&case["conversation"])].as_array().unwrap();
        let template =
            ChatTemplate::new(Some(&source), &text(&file["bos_token"]), &text(&file["eos_token"]));
        let prompt = template.and_then(|it| it.render(messages, NOW));
        assert_eq!(
            prompt.as_ref().ok().map(String::as_str),
            case["rendered"].as_str(),
            "{case}: {prompt:?}"
        );
    }
    assert_eq!(cases.len(), 91);
}

proptest! {
    /// Any text is a template or an error.
    #[test]
    fn any_source_is_survived(source in "([a-z{}% .'()\\[\\]|+-]|\\{%|%\\}|\\{\\{|\\}\\}|messages|content|for m in|if|endif|endfor){0,40}") {
        if let Ok(template) = ChatTemplate::new(Some(&source), "<s>", "</s>") {
            let _ = template.prompt(vec![turn("system", "a"), turn("user", "b")], NOW);
        }
    }
}
