//! Arrays of f64, and the operators of ONNX on them.

use std::borrow::Cow;

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Size of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the sizes' product.
    pub values: Vec<f64>,
}

impl Array {
    /// `value` of each element.
    pub fn map(mut self, value: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|x| *x = value(*x));
        self
    }

    /// `value` of each pair of elements, both arrays broadcast to a common shape.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub fn zip(&self, other: &Self, value: impl Fn(f64, f64) -> f64) -> Result<Self, String> {
        let shape = common_shape(&self.shape, &other.shape)?;
        let values = match (self.values.as_slice(), other.values.as_slice()) {
            (own, &[b]) => own.iter().map(|a| value(*a, b)).collect(),
            (&[a], others) => others.iter().map(|b| value(a, *b)).collect(),
            _ => self.spread(&shape).iter().zip(other.spread(&shape).iter()).map(|(a, b)| value(*a, *b)).collect(),
        };
        Ok(Self { values, shape })
    }

    /// The values of the array broadcast to `shape`.
    fn spread(&self, shape: &[usize]) -> Cow<'_, [f64]> {
        if self.shape == shape {
            return Cow::Borrowed(&self.values);
        }
        // From the last axis on: where the array has size 1, what lies below is repeated.
        let mut values = self.values.clone();
        let mut block = 1;
        for (back, &size) in shape.iter().rev().enumerate() {
            let own = self.shape.len().checked_sub(back + 1).map_or(1, |axis| self.shape[axis]);
            if own != size {
                values = values.chunks_exact(block).flat_map(|part| part.repeat(size)).collect();
            }
            block *= size;
        }
        Cow::Owned(values)
    }

    /// The matrix product of rows ([.., k]) and a matrix ([k, n]).
    ///
    /// # Errors
    /// A sentence, if the sizes do not fit.
    pub fn matmul(&self, matrix: &Self) -> Result<Self, String> {
        let (Some((&depth, rows)), &[inputs, outputs]) = (self.shape.split_last(), matrix.shape.as_slice()) else {
            return Err(format!("no product of {:?} and {:?}", self.shape, matrix.shape));
        };
        if depth != inputs || depth == 0 || outputs == 0 {
            return Err(format!("no product of {:?} and {:?}", self.shape, matrix.shape));
        }
        let count = self.values.len() / depth;
        let mut values = vec![0.0; count * outputs];
        let (left, right, out) = (self.values.as_ptr(), matrix.values.as_ptr(), values.as_mut_ptr());
        let (deep, across) = (depth as isize, outputs as isize);
        // SAFETY: [count, depth] times [depth, outputs] gives [count, outputs], all three row-major and of these sizes.
        unsafe {
            matrixmultiply::dgemm(count, depth, outputs, 1.0, left, deep, 1, right, across, 1, 0.0, out, across, 1);
        }
        Ok(Self { shape: [rows, &[outputs]].concat(), values })
    }

    /// The mean over the last axis, which is kept with size 1.
    ///
    /// # Errors
    /// A sentence, for a scalar or an empty axis.
    pub fn mean(&self) -> Result<Self, String> {
        let Some((&size, rows)) = self.shape.split_last().filter(|(size, _)| **size > 0) else {
            return Err(format!("no mean over the last axis of {:?}", self.shape));
        };
        let values = self.values.chunks_exact(size).map(|row| row.iter().sum::<f64>() / size as f64).collect();
        Ok(Self { shape: [rows, &[1]].concat(), values })
    }

    /// The array broadcast to `shape`, and `shape` to the array.
    ///
    /// # Errors
    /// A sentence, if they do not fit.
    pub fn expand(&self, shape: &[usize]) -> Result<Self, String> {
        let shape = common_shape(&self.shape, shape)?;
        Ok(Self { values: self.spread(&shape).into_owned(), shape })
    }

    /// With a new axis of size 1 at `axis`.
    ///
    /// # Errors
    /// A sentence, if there is no such place.
    pub fn unsqueeze(mut self, axis: usize) -> Result<Self, String> {
        if axis > self.shape.len() {
            return Err(format!("no axis {axis} in {:?}", self.shape));
        }
        self.shape.insert(axis, 1);
        Ok(self)
    }

    /// Without the axis `axis`, whose size is 1.
    ///
    /// # Errors
    /// A sentence, if it is not.
    pub fn squeeze(mut self, axis: usize) -> Result<Self, String> {
        if self.shape.get(axis) != Some(&1) {
            return Err(format!("axis {axis} of {:?} is not 1", self.shape));
        }
        self.shape.remove(axis);
        Ok(self)
    }

    /// The sizes of a three-dimensional array; all that choosing is asked of.
    fn cube(&self) -> Result<[usize; 3], String> {
        self.shape.as_slice().try_into().map_err(|_| format!("{:?} are not three axes", self.shape))
    }

    /// The number of the largest value along axis 1, the first of equals; the axis is kept with size 1.
    ///
    /// # Errors
    /// A sentence, if there are not three axes.
    pub fn arg_max(&self) -> Result<Self, String> {
        let [rows, count, cols] = self.cube()?;
        let at = |row, i, col| self.values[(row * count + i) * cols + col];
        let largest = |row, col| (1..count).fold(0, |best, i| if at(row, i, col) > at(row, best, col) { i } else { best });
        let values = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))).map(|(row, col)| largest(row, col) as f64);
        Ok(Self { shape: vec![rows, 1, cols], values: values.collect() })
    }

    /// out\[row, i, col\] = self[row, index\[row, i, col\], col].
    ///
    /// # Errors
    /// A sentence, if shapes do not fit, or an index is beyond the axis.
    pub fn gather(&self, index: &Self) -> Result<Self, String> {
        let ([rows, count, cols], [index_rows, picks, index_cols]) = (self.cube()?, index.cube()?);
        if (rows, cols) != (index_rows, index_cols) {
            return Err(format!("{:?} gathered by {:?}", self.shape, index.shape));
        }
        let place = |(i, pick): (usize, &f64)| {
            let (row, col) = (i / (picks * cols), i % cols);
            Some((row * count + *pick as usize) * cols + col).filter(|_| (*pick as usize) < count)
        };
        let values = index.values.iter().enumerate().map(|pick| place(pick).map(|place| self.values[place]));
        let values = values.collect::<Option<Vec<_>>>().ok_or("an index is beyond the axis")?;
        Ok(Self { shape: index.shape.clone(), values })
    }
}

/// The shape that both can be broadcast to: axes are counted from the last, and a missing one has size 1.
fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let size = |shape: &[usize], back: usize| shape.len().checked_sub(back + 1).map_or(1, |axis| shape[axis]);
    let axis = |back| match (size(a, back), size(b, back)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        _ => Err(format!("{a:?} and {b:?} do not broadcast")),
    };
    (0..a.len().max(b.len())).rev().map(axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], values: &[f64]) -> Array {
        Array { shape: shape.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn broadcasting_follows_the_last_axes() {
        let table = array(&[2, 3], &[1., 2., 3., 4., 5., 6.]);
        let add = |other: &Array| table.zip(other, |a, b| a + b).unwrap();
        assert_eq!(add(&array(&[3], &[10., 20., 30.])), array(&[2, 3], &[11., 22., 33., 14., 25., 36.]));
        assert_eq!(add(&array(&[2, 1], &[10., 20.])), array(&[2, 3], &[11., 12., 13., 24., 25., 26.]));
        assert_eq!(add(&array(&[], &[1.])), array(&[2, 3], &[2., 3., 4., 5., 6., 7.]));
        let column = array(&[2, 1], &[1., 2.]);
        assert_eq!(column.zip(&array(&[1, 2], &[3., 4.]), |a, b| a * b).unwrap(), array(&[2, 2], &[3., 4., 6., 8.]));
        assert!(table.zip(&array(&[2], &[1., 2.]), |a, b| a + b).is_err());
    }

    #[test]
    fn products_and_means_are_taken_row_by_row() {
        let rows = array(&[2, 2], &[1., 2., 3., 4.]);
        assert_eq!(rows.matmul(&array(&[2, 1], &[10., 1.])).unwrap(), array(&[2, 1], &[12., 34.]));
        assert!(rows.matmul(&array(&[3, 1], &[0.; 3])).is_err());
        assert_eq!(rows.mean().unwrap(), array(&[2, 1], &[1.5, 3.5]));
    }

    #[test]
    fn the_first_of_the_largest_is_chosen() {
        let values = array(&[2, 3, 1], &[1., 5., 5., 2., 1., 0.]);
        let chosen = values.arg_max().unwrap();
        assert_eq!(chosen, array(&[2, 1, 1], &[1., 0.]));
        let candidates = array(&[2, 3, 2], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]);
        let index = chosen.expand(&[1, 1, 2]).unwrap();
        assert_eq!(candidates.gather(&index).unwrap().squeeze(1).unwrap(), array(&[2, 2], &[2., 3., 6., 7.]));
        assert!(candidates.gather(&array(&[2, 1, 2], &[3., 0., 0., 0.])).is_err());
    }
}
