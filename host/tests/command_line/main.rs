//! The program as its users meet it: what they typed wrong, and what they read then.

mod bad_files;
mod bad_recipes;
mod before_work;
mod doctor;
mod output;
mod plans;
mod support;
mod teachers;
