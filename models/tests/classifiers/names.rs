//! The catalogue.

use limbeck_models::Params;
use limbeck_models::classifier::{build, names};

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let message = |name: &str| build(name, 10, 3, 32, &Params::sketch()).err().unwrap().to_string();
    for (name, nearest) in [("ResNet-18", "resnet18"), ("vgg16-bn", "vgg16_bn"), ("mobilenetv3", "mobilenet_v2")] {
        let message = message(name);
        assert!(message.contains(&format!("there is no network `{name}`, did you mean `{nearest}`?")), "{message}");
        assert!(message.contains("convnext_tiny"), "{message}");
    }
    assert!(message("transformer").contains("there is no network `transformer`; there are mlp, "));
}

#[test]
fn names_are_unique() {
    let mut all: Vec<_> = names().collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}
