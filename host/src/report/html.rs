//! Markup that can't be broken by what is put into it: templates are literals of this program, everything else is escaped.

use std::fmt::Write as _;

/// A piece of finished markup.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Html(String);

/// What may stand in the hole of a template.
pub(super) trait Piece {
    fn write(&self, out: &mut String);
}

impl Html {
    /// A template whose holes `{}` are filled with these pieces; [`html!`] counts them when it is compiled.
    pub(super) fn fill(template: &'static str, pieces: &[&dyn Piece]) -> Self {
        let mut out = String::with_capacity(template.len() + 32 * pieces.len());
        let mut pieces = pieces.iter();
        for (i, text) in template.split("{}").enumerate() {
            if let Some(piece) = (i > 0).then(|| pieces.next()).flatten() {
                piece.write(&mut out);
            }
            out.push_str(text);
        }
        Self(out)
    }

    /// A literal of this program, as it is.
    pub(super) fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

impl Piece for Html {
    fn write(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Piece for str {
    /// Escaped for text and for attributes in either kind of quotes. Characters that HTML forbids become U+FFFD.
    fn write(&self, out: &mut String) {
        for c in self.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(c),
                // Marks that change the direction of text could make a reason say what it doesn't.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
                c if c.is_control() => out.push('\u{fffd}'),
                c => out.push(c),
            }
        }
    }
}

impl Piece for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl<T: Piece + ?Sized> Piece for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

impl<T: Piece> Piece for Option<T> {
    fn write(&self, out: &mut String) {
        if let Some(piece) = self {
            piece.write(out);
        }
    }
}

impl Piece for f64 {
    /// A coordinate: at most two decimals, 0 for what is not a number.
    fn write(&self, out: &mut String) {
        let rounded = (self * 100.0).round() / 100.0;
        let _ = write!(out, "{}", if rounded.is_finite() { rounded + 0.0 } else { 0.0 });
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => { $(impl Piece for $kind {
        fn write(&self, out: &mut String) {
            let _ = write!(out, "{self}");
        }
    })* };
}
whole_numbers!(usize, u32, u64);

/// How many holes a template has.
pub(super) const fn holes(template: &str) -> usize {
    let bytes = template.as_bytes();
    let (mut i, mut count) = (0, 0);
    while i + 1 < bytes.len() {
        if bytes[i] == b'{' && bytes[i + 1] == b'}' {
            count += 1;
        }
        i += 1;
    }
    count
}

/// `html!("<p>{}</p>", text)`: the template must be a literal, with a hole a value.
macro_rules! html {
    ($template:literal $(, $value:expr)* $(,)?) => {{
        const { assert!($crate::report::html::holes($template) == <[&str]>::len(&[$(stringify!($value)),*])) };
        $crate::report::html::Html::fill($template, &[$(&$value),*])
    }};
}
pub(super) use html;

/// `data:` URI of a PNG.
pub(super) fn png_uri(png: &[u8]) -> Html {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("data:image/png;base64,");
    for chunk in png.chunks(3) {
        let bits = chunk.iter().chain(&[0, 0]).take(3).fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit as char } else { '=' });
        }
    }
    Html(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_become_markup() {
        let evil = "\"><script>alert('&')</script>\u{202e}\0";
        let page = html!("<p title=\"{}\">{}</p>", evil, 5_u64).into_string();
        assert_eq!(
            page,
            "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}\">5</p>"
        );
        assert_eq!(html!("{}", html!("<b>{}</b>", "{}")).into_string(), "<b>{}</b>");
    }

    #[test]
    fn coordinates_are_short() {
        let shown = html!("{} {} {} {}", 1.0, 2.0 / 3.0, f64::NAN, -0.001).into_string();
        assert_eq!(shown, "1 0.67 0 0");
    }

    #[test]
    fn pictures_become_base64() {
        let uri = |bytes: &[u8]| png_uri(bytes).into_string().replace("data:image/png;base64,", "");
        assert_eq!([uri(b"Man"), uri(b"Ma"), uri(b"M"), uri(b"")], ["TWFu", "TWE=", "TQ==", ""]);
    }
}
