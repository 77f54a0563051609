//! Networks of a line a layer, for tests.

use vbd_core::recipe::NetToml;
use vbd_net::spec::NetSpec;

/// A network of `kind key=value ...` lines over an image of `[1, 6, 5]` in four classes.
pub(crate) fn net(scale: f64, lines: &[&str]) -> NetSpec {
    let mut toml = format!(
        "name = 'residual'\ninput = [1, 6, 5]\nclasses = 4\n\
         normalize = {{ scale = {scale}, mean = 'image' }}\n"
    );
    for line in lines {
        let (kind, fields) = line.split_once(' ').unwrap_or((line, ""));
        let fields = fields.replace(' ', "\n");
        toml.extend(["[[layer]]\nkind = '", kind, "'\n", &fields, "\n"]);
    }
    NetSpec::from_toml(&toml, "residual").unwrap()
}
