//! A type serde does not know, and a client used as another one.

struct Secret;

#[door::service]
trait Keeper {
    fn keep(&self, secret: Secret);
}

#[door::service]
trait Adder {
    fn add(&self, a: u32, b: u32) -> u32;
}

/// Counts without care for other threads.
struct OneThread(std::cell::Cell<u32>);

impl Adder for OneThread {
    fn add(&self, a: u32, b: u32) -> u32 {
        self.0.set(self.0.get() + 1);
        a + b
    }
}

fn main() {
    let adder = AdderClient::at("/run/adder").unwrap();
    let _: u32 = adder.add(1, 2);
    adder.add("1", 2);
}
