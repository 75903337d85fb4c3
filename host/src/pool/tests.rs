//! Shards on disk: equal bytes, resume, and every way of being damaged.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn sample(id: u64, channels: usize) -> Sample {
    let pixels = (0..channels * 30).map(|i| (i as u64 * 37 + id * 11) as u8).collect();
    let class = (id % 3) as u32;
    let provenance = Provenance {
        class,
        guidance: 2.5,
        steps: 50,
        seed: 7,
        stream: None,
        sampler: "ddpm".into(),
        round: 0,
        generator: "ab".repeat(32),
        plugin: None,
    };
    Sample { id, class, image: Image { channels, height: 5, width: 6, pixels }, provenance }
}

fn samples(ids: std::ops::Range<u64>) -> Vec<Sample> {
    ids.map(|id| sample(id, 1)).collect()
}

fn run_with_two_shards() -> (TempDir, RunDir) {
    let dir = TempDir::new().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    write_shard(&run, 0, 0, &samples(0..4)).unwrap();
    write_shard(&run, 0, 1, &samples(4..7)).unwrap();
    (dir, run)
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug>, parts: &[&str]) {
    let message = result.expect_err("should be refused").to_string();
    parts.iter().for_each(|part| assert!(message.contains(part), "{message:?} does not contain {part:?}"));
}

#[test]
fn a_pool_survives_the_round_trip() {
    let (_dir, run) = run_with_two_shards();
    let pool = Pool::read(&run, 0).unwrap();
    assert_eq!(pool.samples, samples(0..7));
    let data = pool.to_dataset(3);
    assert_eq!((data.len(), data.channels, data.height, data.width, data.classes), (7, 1, 5, 6, 3));
    assert_eq!(data.image(6), sample(6, 1).image.pixels);
    assert!(pool.to_dataset(2).batch(&[2]).is_err());
}

#[test]
fn colour_survives_the_round_trip() {
    let all = [sample(3, 3), sample(1_234_567_890_123, 3)];
    let bytes = shard::encode(&all).unwrap();
    assert_eq!(shard::decode("x", &bytes, 2).unwrap(), all);
}

#[test]
fn equal_samples_are_equal_bytes_whatever_their_order() {
    let bytes = shard::encode(&samples(0..4)).unwrap();
    let mut backwards = samples(0..4);
    backwards.reverse();
    assert_eq!(bytes, shard::encode(&backwards).unwrap());
    // A change of the encoder or the tar writer would redraw every pool: it must be meant.
    assert_eq!(sha256_bytes(&bytes), "683a07ac479a1a12bc83f7142b545962c2657b4522a36a14a775d74166d9ecea");
}

#[test]
fn a_shard_without_samples_or_with_a_repeated_id_is_not_written() {
    assert!(shard::encode(&[]).is_err());
    assert!(shard::encode(&[sample(1, 1), sample(1, 1)]).is_err());
    assert!(shard::encode(&[sample(1, 2)]).is_err());
}

#[test]
fn only_finished_shards_are_done() {
    let (_dir, run) = run_with_two_shards();
    assert!(shard_done(&run, 0, 0, 4).unwrap());
    assert!(!shard_done(&run, 0, 2, 4).unwrap());
    assert!(!shard_done(&run, 1, 0, 4).unwrap());
    refused(shard_done(&run, 0, 0, 5), &["000000.tar` holds 4 samples, the plan says 5"]);
    // Killed between the shard and the index: the file is there, the entry isn't.
    std::fs::copy(run.join("pool/round-000/000000.tar"), run.join("pool/round-000/000002.tar")).unwrap();
    assert!(!shard_done(&run, 0, 2, 4).unwrap());
    refused(Pool::read(&run, 0), &["000002.tar` is not in index.json: delete it and run again"]);
    std::fs::remove_file(run.join("pool/round-000/000000.tar")).unwrap();
    assert!(!shard_done(&run, 0, 0, 4).unwrap());
}

#[test]
fn a_missing_pool_names_the_command_that_draws_it() {
    let dir = TempDir::new().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    refused(
        Pool::read(&run, 0),
        &["pool/round-000` has no finished shard: `limbeck run` with the run's recipe draws them"],
    );
}

#[test]
fn damage_is_refused_by_shard_byte_sample_and_remedy() {
    let (_dir, run) = run_with_two_shards();
    let path = run.join("pool/round-000/000001.tar");
    let whole = std::fs::read(&path).unwrap();
    let remedy = "delete it and run again, it will be drawn again";
    let png = whole.windows(4).rposition(|bytes| bytes == b"IDAT").unwrap();
    let mut damaged = whole.clone();
    damaged[png + 6] ^= 0xff;
    std::fs::write(&path, &damaged).unwrap();
    refused(Pool::read(&run, 0), &["000001.tar`, byte ", "sample 6: its image is not a whole PNG", remedy]);
    refused(shard_done(&run, 0, 1, 3), &["000001.tar`, byte ", "sample 6", remedy]);
    std::fs::write(&path, &whole[..whole.len() - 512]).unwrap();
    refused(Pool::read(&run, 0), &["the two empty blocks", remedy]);
    damaged = whole.clone();
    let seed = damaged.windows(8).position(|bytes| bytes == b"\"seed\":7").unwrap();
    damaged[seed + 7] = b'8';
    std::fs::write(&path, &damaged).unwrap();
    refused(Pool::read(&run, 0), &["000001.tar` has changed since it was written", remedy]);
}

#[test]
fn shards_of_two_generators_do_not_mix() {
    let (_dir, run) = run_with_two_shards();
    write_shard(&run, 0, 2, &[sample(9, 3)]).unwrap();
    refused(Pool::read(&run, 0), &["sample 9 is 5 high and 6 wide with 3 channels"]);
    write_shard(&run, 0, 2, &[sample(3, 1)]).unwrap();
    refused(Pool::read(&run, 0), &["two samples have the id 3"]);
}

#[test]
fn a_contact_sheet_has_a_row_a_class() {
    let all = samples(0..8);
    let sheet = contact_sheet(&all.iter().collect::<Vec<_>>(), 2, 3).unwrap();
    let decoded = image::load_from_memory(&sheet).unwrap().into_rgba8();
    assert_eq!(decoded.dimensions(), (2 * 18 + 2, 3 * 15 + 4));
    let first = all[0].image.pixels[0];
    assert_eq!(decoded.get_pixel(2, 2).0, [first, first, first, 255]);
    assert_eq!(decoded.get_pixel(18, 2).0[3], 0);
    let second_class = all[1].image.pixels[0];
    assert_eq!(decoded.get_pixel(0, 17).0[0], second_class);
    assert!(contact_sheet(&[], 2, 3).is_err());
    assert!(contact_sheet(&[&all[0]], 0, 3).is_err());
    assert!(contact_sheet(&[&all[0]], 1, u32::MAX).is_err());
    assert!(contact_sheet(&[&all[0], &sample(0, 3)], 2, 1).is_ok());
}

proptest! {
    #[test]
    fn every_truncation_is_refused(cut in 0usize..1_000_000) {
        let bytes = shard::encode(&samples(0..2)).unwrap();
        prop_assert!(shard::decode("x", &bytes[..cut % bytes.len()], 2).is_err());
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..1_000_000, value: u8) {
        let mut bytes = shard::encode(&samples(0..2)).unwrap();
        let length = bytes.len();
        bytes[at % length] = value;
        let _ = shard::decode("x", &bytes, 2);
        let _ = shard::decode("x", &bytes, usize::MAX);
    }
}
