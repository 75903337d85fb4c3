//! Charts as inline SVG: an outer frame with axes, and an inner picture in the coordinates of the plot that can't leave it.
//!
//! Colours and text sizes come from the style sheet, so one picture serves light, dark, desk and phone.

mod axis;
mod dots;
mod histogram;
mod line;
mod shares;

use super::html::{Html, html};
pub(super) use axis::Axis;
pub(super) use dots::{Dots, begins, dots};
pub(super) use histogram::histogram;
pub(super) use line::{Series, legend as line_legend, lines};
pub(super) use shares::{Share, shares};

/// The width of every chart in its own units; the page scales it.
const WIDTH: f64 = 460.0;

/// How something is drawn: colour, dash and marker go together, so that no meaning hangs on the colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ink {
    /// The student on drawn images.
    Drawn,
    /// The student on real images.
    Real,
    Teacher,
    /// Anything else.
    Other,
}

impl Ink {
    /// The ink of an arm of the distillation.
    pub(super) fn of_arm(arm: &str) -> Self {
        match arm {
            "synthetic" => Self::Drawn,
            "real" => Self::Real,
            _ => Self::Other,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Drawn => "ink-drawn",
            Self::Real => "ink-real",
            Self::Teacher => "ink-teacher",
            Self::Other => "ink-other",
        }
    }

    /// Its marker around a point.
    fn marker(self, x: f64, y: f64, title: &str) -> Html {
        let class = self.class();
        match self {
            Self::Drawn => html!(
                "<circle class=\"mark {}\" cx=\"{}\" cy=\"{}\" r=\"4.5\"><title>{}</title></circle>",
                class,
                x,
                y,
                title
            ),
            Self::Real => html!(
                "<path class=\"mark hollow {}\" d=\"M{} {}l5 5-5 5-5-5z\"><title>{}</title></path>",
                class,
                x,
                y - 5.0,
                title
            ),
            Self::Teacher => html!(
                "<rect class=\"mark {}\" x=\"{}\" y=\"{}\" width=\"3\" height=\"14\" rx=\"1\"><title>{}</title></rect>",
                class,
                x - 1.5,
                y - 7.0,
                title
            ),
            Self::Other => html!(
                "<rect class=\"mark hollow {}\" x=\"{}\" y=\"{}\" width=\"8\" height=\"8\"><title>{}</title></rect>",
                class,
                x - 4.0,
                y - 4.0,
                title
            ),
        }
    }
}

/// A legend of markers.
pub(super) fn marker_legend(entries: &[(Ink, String)]) -> Html {
    let swatch = |ink: Ink| html!("<svg viewBox=\"0 0 16 16\" aria-hidden=\"true\">{}</svg>", ink.marker(8.0, 8.0, ""));
    entries.iter().map(|(ink, name)| html!("<li>{}{}</li>", swatch(*ink), name)).collect()
}

/// What charts refer to; the page holds it once.
pub(super) fn patterns() -> Html {
    html!(
        "<svg class=\"visually-hidden\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"5\" \
         height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"hatch-ground\" width=\"5\" height=\"5\"/>\
         <rect class=\"hatch-line\" width=\"1.8\" height=\"5\"/></pattern></defs></svg>"
    )
}

/// A plot with axes. `left` is the room for the labels of the y axis, in units.
struct Frame<'a> {
    x: &'a Axis,
    /// `None` leaves the y axis to the chart.
    y: Option<&'a Axis>,
    height: f64,
    left: f64,
    /// Whether marks may reach over the edge of the plot.
    open: bool,
}

impl Frame<'_> {
    const TOP: f64 = 8.0;
    const RIGHT: f64 = 12.0;
    const BOTTOM: f64 = 40.0;

    /// The size of the plot within the axes.
    fn inner(&self) -> (f64, f64) {
        (WIDTH - self.left - Self::RIGHT, self.height - Self::TOP - Self::BOTTOM)
    }

    /// The whole SVG; `label` says in a sentence what is to be seen, `marks` are in the coordinates of the plot, and
    /// `beside` in those of the SVG.
    fn draw(&self, label: &str, marks: Html, beside: Html) -> Html {
        let (width, height) = self.inner();
        html!(
            "<svg class=\"chart{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}{}{}\
             <svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{}</svg></svg>",
            if self.open { " open" } else { "" },
            WIDTH,
            self.height,
            label,
            self.x_axis(),
            self.y.map(|y| self.y_axis(y)),
            beside,
            self.left,
            Self::TOP,
            width,
            height,
            marks,
        )
    }

    fn x_axis(&self) -> Html {
        let (width, height) = self.inner();
        let bottom = Self::TOP + height;
        let tick = |value: f64| {
            let x = self.left + self.x.position(value) * width;
            html!(
                "<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x,
                x,
                Self::TOP,
                bottom,
                x,
                bottom + 15.0,
                self.x.label(value)
            )
        };
        let ticks = self.x.ticks().iter().map(|&value| tick(value)).collect::<Html>();
        html!(
            "{}<text class=\"axis-title\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            ticks,
            self.left + width / 2.0,
            self.height - 6.0,
            self.x.title
        )
    }

    fn y_axis(&self, y: &Axis) -> Html {
        let (width, height) = self.inner();
        let tick = |value: f64| {
            let at = Self::TOP + (1.0 - y.position(value)) * height;
            html!(
                "<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                self.left,
                self.left + width,
                at,
                at,
                self.left - 6.0,
                at + 4.0,
                y.label(value)
            )
        };
        let ticks = y.ticks().iter().map(|&value| tick(value)).collect::<Html>();
        let middle = Self::TOP + height / 2.0;
        html!(
            "{}<text class=\"axis-title\" transform=\"translate(11 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            ticks,
            middle,
            y.title
        )
    }
}

#[cfg(test)]
mod tests;
