//! `limbeck policy`: looks at policies.

use std::path::Path;

use limbeck::Result;
use limbeck::policy::inspect;
use limbeck::progress::Progress;

/// Says what a component is. Every mismatch is an error in words.
pub fn check(file: &Path, progress: &Progress) -> Result<()> {
    let found = inspect(file, "{}")?;
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    progress.data(format_args!("policy     {} {}: {}", found.name, found.version, found.summary));
    progress.data(format_args!("role       {}", list(&found.roles)));
    progress.data(format_args!("interface  {}", found.interface));
    progress.data(format_args!("imports    {}", list(&found.imports)));
    progress.data(format_args!("needs      {}", list(&found.needs)));
    progress.data(format_args!("reasons    {}", list(&found.reasons)));
    progress.data(format_args!("sha256     {}", found.sha256));
    Ok(())
}
