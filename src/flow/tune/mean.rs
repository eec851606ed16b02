//! A mean of the last answers, which forgets.

/// A question that so many trials haven't answered is not worth more of them.
pub(super) const MOST_TRIALS: u32 = 8;

/// A mean over the last few.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    pub value: f64,
    pub count: u32,
}

impl Mean {
    pub fn of(value: f64) -> Mean {
        Mean { value, count: 1 }
    }

    pub fn add(&mut self, value: f64) {
        self.count = (self.count + 1).min(MOST_TRIALS);
        self.value += (value - self.value) / f64::from(self.count);
    }
}
