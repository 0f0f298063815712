//! What the attribute does not take, and what it says about it.

#[door::service]
struct NotATrait;

#[door::service(colour = "red")]
trait UnknownArgument {}

#[door::service]
trait Generic<T> {
    fn f(&self, value: T);
}

#[door::service]
trait GenericMethod {
    fn f<T>(&self, value: T);
}

#[door::service]
trait Constant {
    const N: u32;
}

#[door::service]
trait Asynchronous {
    async fn f(&self);
}

#[door::service]
trait ByValue {
    fn f(self);
}

#[door::service]
trait Exclusive {
    fn f(&mut self);
}

#[door::service]
trait NoSelf {
    fn f(value: u32);
}

#[door::service]
trait Reserved {
    fn within(&self);
}

#[door::service]
trait BorrowedResult {
    fn f(&self) -> &str;
}

#[door::service]
trait BorrowedDescriptorResult {
    fn f(&self) -> Option<std::os::fd::BorrowedFd<'static>>;
}

#[door::service]
trait MutableParameter {
    fn f(&self, buffer: &mut [u8]);
}

#[door::service]
trait InnerReference {
    fn f(&self, words: Vec<&str>);
}

#[door::service]
trait Anything {
    fn f(&self, value: impl Send);
}

#[door::service]
trait Hidden {
    fn f(&self, table: std::collections::HashMap<String, std::os::fd::OwnedFd>);
}

#[door::service]
trait HalfAResult {
    fn f(&self) -> std::io::Result<u32>;
}

#[door::service]
trait Pattern {
    fn f(&self, (a, b): (u32, u32));
}

fn main() {}
