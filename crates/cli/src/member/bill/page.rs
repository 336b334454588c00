//! A bill as a page.

use super::Shown;
use crate::common::html::{STYLE, escaped, table};

/// Columns of numbers.
const NUMBERS: &str = "td:not(:first-child),th:not(:first-child){text-align:right}";

/// The page.
pub(super) fn page(shown: &Shown) -> Vec<u8> {
    let title = escaped(&shown.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}{NUMBERS}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for line in &shown.status {
        out += &format!("<p>{}</p>\n", escaped(line));
    }
    let heads = shown.heads();
    let total = vec![shown.total_is().to_owned(), String::new(), String::new(), shown.total.clone()];
    let items = shown.items.iter().map(|item| item.to_vec()).chain([total]);
    table(&mut out, "Items", &heads.each_ref().map(String::as_str), items);
    let facts = shown.facts.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
    table(&mut out, "Energy", &[], facts);
    table(&mut out, "Account", &["", "", &shown.currency], shown.account.iter().map(|row| row.to_vec()));
    out += "</body></html>\n";
    out.into_bytes()
}
