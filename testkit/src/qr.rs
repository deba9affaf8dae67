//! Reads QR codes by a program that draws none (quircs).

use quircs::Quirc;

/// Pixels of a module, each way.
const SCALE: usize = 4;

/// Reads one whose modules are given by column and row, the quiet zone included.
pub fn read(width: usize, height: usize, is_light: impl Fn(usize, usize) -> bool) -> String {
    let line = width * SCALE;
    let pixel = |at: usize| if is_light(at % line / SCALE, at / line / SCALE) { 255 } else { 0 };
    let image: Vec<u8> = (0..line * height * SCALE).map(pixel).collect();
    let mut reader = Quirc::default();
    let mut found: Vec<_> = reader.identify(line, height * SCALE, &image).collect();
    assert_eq!(found.len(), 1, "QR codes");
    String::from_utf8(found.remove(0).unwrap().decode().unwrap().payload).unwrap()
}

/// Reads one that is drawn in a terminal, two modules in the height of a line, light ones as blocks. Other lines are ignored.
pub fn read_drawing(text: &str) -> String {
    let of_blocks = |line: &&str| !line.is_empty() && line.chars().all(|it| " █▀▄".contains(it));
    let lines: Vec<Vec<char>> =
        text.lines().filter(of_blocks).map(|it| it.chars().collect()).collect();
    let is_light = |x: usize, y: usize| {
        let half = if y.is_multiple_of(2) { '▀' } else { '▄' };
        [half, '█'].contains(&lines[y / 2][x])
    };
    read(lines[0].len(), lines.len() * 2, is_light)
}
