//! Pages without scripts and without anything from elsewhere; every value is escaped.

use std::fmt::Write as _;

/// Of every page.
pub const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;\
border-bottom:1px solid #eee;overflow-wrap:anywhere}th{font-weight:600;white-space:nowrap}\
.verdict{font-size:1.3rem;font-weight:700;padding:.6rem 1rem;border-radius:.3rem}\
.ok{background:#e3f4e3}.incomplete{background:#fdf3d3}.failed{background:#fbe0de}";

/// Text that is no markup.
#[must_use]
pub fn escaped(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

/// A table with its heading; nothing if it has no rows.
pub fn table(out: &mut String, title: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(out, "<h2>{}</h2><table>", escaped(title));
    if !header.is_empty() {
        let cells: String = header.iter().map(|cell| format!("<th>{}</th>", escaped(cell))).collect();
        let _ = write!(out, "<tr>{cells}</tr>");
    }
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let _ = write!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</table>\n");
}
