//! The rules that every grammar has.

use std::fmt::Write as _;

/// Deepest nesting of a value of any kind: how far llama.cpp looks for each token grows with the depth of the reply.
const FREE_DEPTH_MAX: usize = 16;

/// The grammar's fixed rules. Numbers and escapes are such as every JSON parser reads, and white space is short, so that
/// a model does not fill its reply with it.
const FIXED: &str = r#"ws ::= ( " " | "\n" [ \t]{0,20} )?
char ::= [^"\\\x7F\x00-\x1F] | [\\] ( ["\\/bfnrt] | "u" ( [0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} ) )
string ::= "\"" char* "\""
integer ::= "-"? ( "0" | [1-9] [0-9]{0,15} )
number ::= integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?
boolean ::= "true" | "false"
null ::= "null"
"#;

/// The fixed rules, with those of values of any kind, level by level.
pub(super) fn fixed() -> String {
    let mut rules = FIXED.to_owned();
    let numbered = |level: usize| if level == 0 { String::new() } else { level.to_string() };
    for level in 0..=FREE_DEPTH_MAX {
        let (n, next) = (numbered(level), numbered(level + 1));
        let nested =
            if level < FREE_DEPTH_MAX { format!("object{n} | array{n} | ") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(rules, "value{n} ::= {nested}string | number | boolean | null");
        if level < FREE_DEPTH_MAX {
            let _ = writeln!(rules, r#"pair{n} ::= string ":" ws value{next}"#);
            let _ = writeln!(
                rules,
                r#"object{n} ::= "{{" ws ( pair{n} ( "," ws pair{n} )* ws )? "}}""#
            );
            let _ = writeln!(
                rules,
                r#"array{n} ::= "[" ws ( value{next} ( "," ws value{next} )* ws )? "]""#
            );
        }
    }
    rules
}

/// The grammar of any JSON object.
#[must_use]
pub fn any_object() -> String {
    format!("root ::= object\n{}", fixed())
}
