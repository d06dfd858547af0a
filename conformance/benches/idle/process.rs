pub(crate) fn child(_role: &str, _connections: usize) {}
pub(crate) fn measure(_connections: usize, _seconds: usize) {}
