//! A decoded image.

/// Grey or colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    Grey,
    Rgb,
}

impl Channels {
    /// 1 or 3; `None` for any other number.
    pub fn of(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            _ => None,
        }
    }

    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// An image of bytes, pixel by pixel: `data` is `[height, width, channels]`, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub channels: Channels,
    pub height: usize,
    pub width: usize,
    pub data: Vec<u8>,
}

impl Pixels {
    /// `None` where the sizes are zero or don't fit the number of bytes.
    pub fn new(channels: Channels, height: usize, width: usize, data: Vec<u8>) -> Option<Self> {
        let fits = !data.is_empty() && data.len() == channels.count() * height * width;
        fits.then_some(Self { channels, height, width, data })
    }

    /// From `[channels, height, width]`; `None` as in [`Pixels::new`].
    pub fn from_planes(channels: Channels, height: usize, width: usize, planes: &[u8]) -> Option<Self> {
        let (count, plane) = (channels.count(), height * width);
        if planes.len() != count * plane {
            return None;
        }
        let data = (0..planes.len()).map(|i| planes[i % count * plane + i / count]).collect();
        Self::new(channels, height, width, data)
    }

    /// Writes `[channels, height, width]` into `to`, which has as many bytes.
    pub fn write_planes(&self, to: &mut [u8]) {
        let count = self.channels.count();
        for (channel, plane) in to.chunks_exact_mut(self.height * self.width).enumerate().take(count) {
            let values = self.data.iter().skip(channel).step_by(count);
            plane.iter_mut().zip(values).for_each(|(to, &value)| *to = value);
        }
    }

    /// Writes `(value / 255 − mean) / std` of each channel into `to`, `[channels, height, width]`. `mean` and `std` have one
    /// number a channel.
    pub fn write_normalised(&self, mean: &[f32], std: &[f32], to: &mut [f32]) {
        let plane = self.height * self.width;
        let affine = |channel: usize| (1.0 / (255.0 * std[channel]), -mean[channel] / std[channel]);
        match self.channels {
            Channels::Grey => {
                let (scale, shift) = affine(0);
                to.iter_mut().zip(&self.data).for_each(|(to, &value)| *to = f32::from(value) * scale + shift);
            }
            Channels::Rgb => {
                let (red, rest) = to.split_at_mut(plane);
                let (green, blue) = rest.split_at_mut(plane);
                let [r, g, b] = [affine(0), affine(1), affine(2)];
                // One pass over the bytes; multiplication and addition apart, as not every build has a fused one.
                for (((pixel, red), green), blue) in self.data.chunks_exact(3).zip(red).zip(green).zip(blue) {
                    *red = f32::from(pixel[0]) * r.0 + r.1;
                    *green = f32::from(pixel[1]) * g.0 + g.1;
                    *blue = f32::from(pixel[2]) * b.0 + b.1;
                }
            }
        }
    }

    /// Mirrors left to right.
    pub fn flip(&mut self) {
        let count = self.channels.count();
        for line in self.data.chunks_exact_mut(self.width * count) {
            for x in 0..self.width / 2 {
                for channel in 0..count {
                    line.swap(x * count + channel, (self.width - 1 - x) * count + channel);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_pixels_are_the_same_image() {
        let planes: Vec<u8> = (0..12).collect();
        let pixels = Pixels::from_planes(Channels::Rgb, 2, 2, &planes).unwrap();
        assert_eq!(pixels.data[..6], [0, 4, 8, 1, 5, 9]);
        let mut back = vec![0; 12];
        pixels.write_planes(&mut back);
        assert_eq!(back, planes);
        assert!(Pixels::from_planes(Channels::Rgb, 2, 2, &planes[1..]).is_none());
        assert!(Pixels::new(Channels::Grey, 0, 0, Vec::new()).is_none());
    }

    #[test]
    fn normalising_goes_by_channel() {
        let pixels = Pixels::new(Channels::Rgb, 1, 2, vec![0, 51, 255, 255, 102, 0]).unwrap();
        let mut to = vec![0.0; 6];
        pixels.write_normalised(&[0.5, 0.2, 0.0], &[0.5, 0.2, 1.0], &mut to);
        let expected = [-1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        assert!(to.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{to:?}");
    }

    #[test]
    fn a_mirror_keeps_colours() {
        let mut pixels = Pixels::new(Channels::Rgb, 1, 3, (0..9).collect()).unwrap();
        pixels.flip();
        assert_eq!(pixels.data, [6, 7, 8, 3, 4, 5, 0, 1, 2]);
    }
}
