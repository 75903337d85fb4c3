//! The catalogue.

use limbeck_models::Params;
use limbeck_models::classifier::{build, names};

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let message = |name: &str| build(name, 10, 3, 32, &Params::sketch()).err().unwrap().to_string();
    for (name, nearest) in [
        ("ResNet-18", "resnet18"),
        ("vgg16-bn", "vgg16_bn"),
        ("mobilenetv3", "mobilenet_v2"),
        ("resnet19", "resnet18"),
        ("resnt50", "resnet50"),
        ("vgg61", "vgg16"),
        ("efficentnet-b0", "efficientnet_b0"),
        ("lenet", "lenet5"),
        ("mobilenet", "mobilenet_v2"),
        ("shufflenetv2", "shufflenet_v2_x1_0"),
    ] {
        let message = message(name);
        assert!(message.contains(&format!("there is no network `{name}`, did you mean `{nearest}`?")), "{message}");
        assert!(message.contains("convnext_tiny"), "{message}");
    }
    for name in [
        "transformer",
        "resnext50",
        "regnet18",
        "resnet152",
        "resnet50d",
        "res2net50",
        "resnet",
        "vit_l_16",
        "efficientnet_v2",
        "densenet121",
        "alexnet",
        "senet18",
        "vgg9",
        "",
        "é18",
    ] {
        assert!(message(name).contains(&format!("there is no network `{name}`; there are mlp, ")), "{}", message(name));
    }
}

#[test]
fn names_are_unique() {
    let mut all: Vec<_> = names().collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}
