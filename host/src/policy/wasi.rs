//! WASI that links and gives nothing. The standard libraries of Rust, C, JavaScript and Python import it whether they use
//! it or not, so every function of whatever version is there: what only asks is told "nothing, and it is the year 1970";
//! what would reach out ends the call with the name of what it tried.

use rand::RngCore;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, LinkerInstance, ResourceDynamic, ResourceType, Val};
use wasmtime::{Engine, StoreContextMut};

use super::state::State;

/// A policy used something that it doesn't have.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not for policies")]
pub struct Forbidden(pub String);

/// Bytes that a stream takes in one write, and that one call gives at random.
const WRITE: u64 = 4096;

/// Links all imports from `wasi:` that the component has.
pub fn link(
    linker: &mut wasmtime::component::Linker<State>,
    component: &Component,
    engine: &Engine,
) -> wasmtime::Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = &import.ty else { continue };
        if !name.starts_with("wasi:") {
            continue;
        }
        let mut at = linker.instance(name)?;
        for (function, item) in interface.exports(engine) {
            link_item(&mut at, name, function, &item.ty)?;
        }
    }
    Ok(())
}

fn link_item(
    at: &mut LinkerInstance<State>,
    interface: &str,
    name: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::Resource(_) => at.resource(name, ResourceType::host_dynamic(kind(name)), |_, _| Ok(())),
        ComponentItem::ComponentFunc(_) => {
            let unversioned = interface.split('@').next().unwrap_or(interface);
            let path = format!("{unversioned}#{name}");
            at.func_new(name, move |context, _, arguments, results| answer(&path, context, arguments, results))
        }
        _ => Ok(()),
    }
}

/// Resources of the same name are the same type in every interface. WASI renames one: HTTP knows `error` as `io-error`.
fn kind(name: &str) -> u32 {
    let name = if name == "io-error" { "error" } else { name };
    // FNV-1a. Should two names collide, two resources are one type, both of which do nothing.
    name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn answer(
    path: &str,
    mut context: StoreContextMut<State>,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    for argument in arguments {
        if let Val::Resource(handle) = argument {
            handle.try_into_resource_dynamic(&mut context)?; // ends the loan, or drops what was given away
        }
    }
    let reply = reply(path, &mut context, arguments)?;
    match (reply, results.first_mut()) {
        (Some(reply), Some(result)) => *result = reply,
        (None, None) => {}
        _ => return Err(wasmtime::Error::msg(format!("`{path}` has another signature than WASI gives it"))),
    }
    Ok(())
}

/// What a function gives back; nothing when it has no result.
fn reply(path: &str, context: &mut StoreContextMut<State>, arguments: &[Val]) -> wasmtime::Result<Option<Val>> {
    let ok = Val::Result(Ok(None));
    Ok(Some(match path.strip_prefix("wasi:").unwrap_or(path) {
        "cli/environment#get-environment" | "cli/environment#get-arguments" => Val::List(Vec::new()),
        "filesystem/preopens#get-directories" => Val::List(Vec::new()),
        "cli/environment#initial-cwd" | "cli/environment#get-initial-cwd" => Val::Option(None),
        "cli/terminal-stdin#get-terminal-stdin"
        | "cli/terminal-stdout#get-terminal-stdout"
        | "cli/terminal-stderr#get-terminal-stderr" => Val::Option(None),

        "cli/stdin#get-stdin" => handle(context, "input-stream")?,
        "cli/stdout#get-stdout" | "cli/stderr#get-stderr" => handle(context, "output-stream")?,
        "io/streams#[method]output-stream.check-write" => Val::Result(Ok(Some(Box::new(Val::U64(WRITE))))),
        "io/streams#[method]output-stream.write" | "io/streams#[method]output-stream.blocking-write-and-flush" => {
            write(context, arguments)?;
            ok
        }
        "io/streams#[method]output-stream.flush" | "io/streams#[method]output-stream.blocking-flush" => ok,
        "io/streams#[method]input-stream.read" | "io/streams#[method]input-stream.blocking-read" => {
            Val::Result(Err(Some(Box::new(Val::Variant("closed".into(), None)))))
        }
        "io/streams#[method]output-stream.subscribe"
        | "io/streams#[method]input-stream.subscribe"
        | "clocks/monotonic-clock#subscribe-instant"
        | "clocks/monotonic-clock#subscribe-duration" => handle(context, "pollable")?,
        "io/poll#[method]pollable.ready" => Val::Bool(true),
        "io/poll#[method]pollable.block" => return Ok(None),
        "io/poll#poll" => everything_is_ready(arguments),
        "io/error#[method]error.to-debug-string" => Val::String(String::new()),

        "clocks/monotonic-clock#now" => Val::U64(0),
        "clocks/monotonic-clock#resolution" => Val::U64(1),
        "clocks/wall-clock#now" => instant(0),
        "clocks/wall-clock#resolution" => instant(1),
        "random/random#get-random-u64" | "random/insecure#get-insecure-random-u64" => Val::U64(random(context)),
        "random/random#get-random-bytes" | "random/insecure#get-insecure-random-bytes" => {
            random_bytes(context, arguments)?
        }
        "random/insecure-seed#insecure-seed" | "random/insecure-seed#get-insecure-seed" => {
            Val::Tuple(vec![Val::U64(random(context)), Val::U64(random(context))])
        }
        _ => return Err(Forbidden(path.to_owned()).into()),
    }))
}

fn handle(context: &mut StoreContextMut<State>, name: &str) -> wasmtime::Result<Val> {
    Ok(Val::Resource(ResourceDynamic::new_own(0, kind(name)).try_into_resource_any(context)?))
}

fn write(context: &mut StoreContextMut<State>, arguments: &[Val]) -> wasmtime::Result<()> {
    let Some(Val::List(bytes)) = arguments.last() else { return Ok(()) };
    if bytes.len() as u64 > WRITE {
        return Err(wasmtime::Error::msg(format!(
            "wrote {} bytes at once to a stream that takes {WRITE}",
            bytes.len()
        )));
    }
    let bytes: Vec<u8> =
        bytes.iter().filter_map(|byte| if let Val::U8(byte) = byte { Some(*byte) } else { None }).collect();
    context.data_mut().log.bytes(&bytes);
    Ok(())
}

fn everything_is_ready(arguments: &[Val]) -> Val {
    let count = if let Some(Val::List(pollables)) = arguments.first() { pollables.len() } else { 0 };
    Val::List((0..count as u32).map(Val::U32).collect())
}

fn instant(nanoseconds: u32) -> Val {
    Val::Record(vec![("seconds".into(), Val::U64(0)), ("nanoseconds".into(), Val::U32(nanoseconds))])
}

fn random(context: &mut StoreContextMut<State>) -> u64 {
    context.data_mut().wasi_random.next_u64()
}

fn random_bytes(context: &mut StoreContextMut<State>, arguments: &[Val]) -> wasmtime::Result<Val> {
    let count = if let Some(Val::U64(count)) = arguments.first() { *count } else { 0 };
    if count > WRITE {
        return Err(wasmtime::Error::msg(format!(
            "asked for {count} random bytes at once, and at most {WRITE} are given"
        )));
    }
    let mut bytes = vec![0; count as usize];
    context.data_mut().wasi_random.fill_bytes(&mut bytes);
    Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
}
