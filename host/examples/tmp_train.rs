fn main() {
    let a: Vec<String> = std::env::args().collect();
    let r: limbeck::config::ClassifierRecipe =
        limbeck::recipe::load(a[1].as_ref(), &a[3..]).unwrap_or_else(|e| panic!("{e}"));
    let base = std::path::Path::new(&a[1]).parent().unwrap();
    let plan = limbeck::plan::plan_classifier(r, base).unwrap_or_else(|e| panic!("{e}"));
    let run = limbeck::run_dir::RunDir::create(a[2].as_ref()).unwrap();
    let p = limbeck::progress::Progress::new(limbeck::progress::Mode::Plain);
    limbeck::train_classifier::train(&plan, &run, &p, &candle_core::Device::Cpu).unwrap_or_else(|e| panic!("{e}"));
}
