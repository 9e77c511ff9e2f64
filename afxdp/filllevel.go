package afxdp

// fillLevel is how many frames the kernel should have to receive into. With AdaptiveFill it follows what comes: in copy mode the
// kernel takes frames in the order in which it got them, so with many of them each has left the cache by the time that it is written to. A
// level is enough as long as what comes between two refills takes less than half of it. What it is not prepared for is a burst
// after a quiet time, which for a shard that polls is a few milliseconds long. A zero-copy driver gets as many frames as it may have in any
// case, for its own ring holds frames back.
type fillLevel struct {
	now, most int
	follows   bool
	refills   int // since used was last looked at
	used      int // the most frames that were missing at one of them
}

const (
	fillLeast  = 512  // frames: twice what a veth's ring holds
	fillWindow = 4096 // refills after which a level that was not used sinks
)

// init makes the level the highest.
func (l *fillLevel) init(most int) { *l = fillLevel{now: most, most: most} }

// settle says whether the level follows what comes.
func (l *fillLevel) settle(copying bool) { l.follows = copying }

// target returns the level now that the kernel has so many frames.
func (l *fillLevel) target(have int) int {
	if !l.follows {
		return l.most
	}
	l.used = max(l.used, l.now-have)
	if l.used > l.now/2 && l.now < l.most {
		l.now, l.refills, l.used = min(2*l.now, l.most), 0, 0
		return l.now
	}
	if l.refills++; l.refills == fillWindow {
		if l.used < l.now/8 {
			l.now = max(l.now/2, min(fillLeast, l.most))
		}
		l.refills, l.used = 0, 0
	}
	return l.now
}
