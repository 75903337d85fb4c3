//! The program from recipe to report on the committed weights, as a user runs it: swapped parts, and kills at any moment.

mod damage;
mod generator;
mod guide;
mod interrupt;
mod later;
mod resume;
mod rounds;
mod support;
mod swap;
mod teachers;
