//! A bill on paper: PDF 1.7, with the fonts that every reader has.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str};

use super::Shown;

/// A4, in points.
const PAGE: Rect = Rect { x1: 0.0, y1: 0.0, x2: 595.0, y2: 842.0 };
const LEFT: f32 = 56.0;
const TOP: f32 = 780.0;
const LEADING: f32 = 14.0;
/// Lines of a page.
const LINES: usize = 50;
const PLAIN: Name<'static> = Name(b"Plain");
const COLUMNS: Name<'static> = Name(b"Columns");

/// The two fonts' encoding is Latin, with the euro sign. Other letters become question marks.
fn encoded(text: &str) -> Vec<u8> {
    let byte = |letter: char| match letter {
        '€' => 0x80,
        letter => u8::try_from(u32::from(letter)).ok().filter(|byte| !(0x80..0xa0).contains(byte)).unwrap_or(b'?'),
    };
    text.chars().map(byte).collect()
}

/// Lines with their fonts and sizes.
fn lines(shown: &Shown) -> Vec<(Name<'static>, f32, String)> {
    let mut lines = vec![(PLAIN, 12.0, shown.title.clone()), (PLAIN, 10.0, String::new())];
    lines.extend(shown.status.iter().map(|line| (PLAIN, 10.0, line.clone())));
    lines.push((PLAIN, 10.0, String::new()));
    lines.extend(shown.lines().into_iter().map(|line| (COLUMNS, 10.0, line)));
    lines
}

/// The file.
pub(super) fn pdf(shown: &Shown) -> Vec<u8> {
    let mut numbers = (1..).map(Ref::new);
    let mut next = || numbers.next().unwrap_or(Ref::new(1));
    let (catalog, tree, plain, columns) = (next(), next(), next(), next());
    let lines = lines(shown);
    let pages: Vec<_> = lines.chunks(LINES).map(|lines| (next(), next(), lines)).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(pages.iter().map(|(page, ..)| *page)).count(count);
    for (font, name) in [(plain, Name(b"Helvetica")), (columns, Name(b"Courier"))] {
        pdf.type1_font(font).base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for (page, content, lines) in pages {
        let mut sheet = pdf.page(page);
        sheet.parent(tree).media_box(PAGE).contents(content);
        sheet.resources().fonts().pair(PLAIN, plain).pair(COLUMNS, columns);
        sheet.finish();
        let mut text = Content::new();
        text.begin_text().set_leading(LEADING).next_line(LEFT, TOP);
        for (font, size, line) in lines {
            text.set_font(*font, *size).show(Str(&encoded(line))).next_line(0.0, -LEADING);
        }
        text.end_text();
        pdf.stream(content, &text.finish());
    }
    pdf.finish()
}
