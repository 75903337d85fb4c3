//! Shifts, turns and mirrors of one plane.

/// How one image is moved. What comes in from outside is black.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Pixels downwards.
    pub dy: i32,
    /// Pixels to the right.
    pub dx: i32,
    /// Radians, about the centre.
    pub angle: f32,
    pub flip: bool,
}

impl Motion {
    /// Draws one plane; bytes become values from 0 to 1.
    pub fn draw(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        if self.angle == 0.0 {
            self.shift(from, to, h, w);
        } else {
            self.turn(from, to, h, w);
        }
    }

    fn shift(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        for (y, line) in to.chunks_exact_mut(w).enumerate() {
            let Some(source) = inside(y as i32 - self.dy, h).map(|y| &from[y * w..][..w]) else {
                line.fill(0.0);
                continue;
            };
            for (x, value) in line.iter_mut().enumerate() {
                let x = if self.flip { w - 1 - x } else { x };
                *value = inside(x as i32 - self.dx, w).map_or(0.0, |x| f32::from(source[x]) / 255.0);
            }
        }
    }

    /// Bilinear.
    fn turn(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        let (sin, cos) = self.angle.sin_cos();
        let (cy, cx) = ((h as f32 - 1.0) / 2.0, (w as f32 - 1.0) / 2.0);
        let pixel = |y: i32, x: i32| match (inside(y, h), inside(x, w)) {
            (Some(y), Some(x)) => f32::from(from[y * w + x]),
            _ => 0.0,
        };
        for (y, line) in to.chunks_exact_mut(w).enumerate() {
            let v = y as f32 - cy - self.dy as f32;
            for (x, value) in line.iter_mut().enumerate() {
                let x = if self.flip { w - 1 - x } else { x };
                let u = x as f32 - cx - self.dx as f32;
                let (sy, sx) = (cos * v - sin * u + cy, sin * v + cos * u + cx);
                let (top, left) = (sy.floor(), sx.floor());
                let (fy, fx) = (sy - top, sx - left);
                let (top, left) = (top as i32, left as i32);
                let upper = pixel(top, left) * (1.0 - fx) + pixel(top, left + 1) * fx;
                let lower = pixel(top + 1, left) * (1.0 - fx) + pixel(top + 1, left + 1) * fx;
                *value = (upper * (1.0 - fy) + lower * fy) / 255.0;
            }
        }
    }
}

fn inside(position: i32, size: usize) -> Option<usize> {
    usize::try_from(position).ok().filter(|&position| position < size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of the bytes 0 to 8, moved.
    fn moved(motion: Motion) -> [u8; 9] {
        let mut to = [0.0; 9];
        motion.draw(&[0, 1, 2, 3, 4, 5, 6, 7, 8], &mut to, 3, 3);
        to.map(|value| (value * 255.0).round() as u8)
    }

    const STILL: Motion = Motion { dy: 0, dx: 0, angle: 0.0, flip: false };

    #[test]
    fn images_are_moved_as_said() {
        assert_eq!(moved(Motion { dy: 1, ..STILL }), [0, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(moved(Motion { dx: -1, ..STILL }), [1, 2, 0, 4, 5, 0, 7, 8, 0]);
        assert_eq!(moved(Motion { flip: true, ..STILL }), [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        let half = Motion { angle: std::f32::consts::PI, ..STILL };
        assert_eq!(moved(half), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
        let quarter = Motion { angle: std::f32::consts::FRAC_PI_2, ..STILL };
        assert_eq!(moved(quarter), [6, 3, 0, 7, 4, 1, 8, 5, 2], "clockwise, as y points down");
    }

    #[test]
    fn a_small_turn_agrees_with_no_turn() {
        assert_eq!(moved(Motion { angle: 1e-6, dx: 1, ..STILL }), moved(Motion { dx: 1, ..STILL }));
    }
}
