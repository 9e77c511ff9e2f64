package clock

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTAI(t *testing.T) {
	var tai TAI
	for range 100 {
		var before, after unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_TAI, &before); err != nil {
			t.Skip(err)
		}
		got := tai.Convert(Now())
		_ = unix.ClockGettime(unix.CLOCK_TAI, &after)
		const allowed = 20_000 // ns, by which the difference was looked up wrongly on a busy machine
		if got+allowed < uint64(before.Nano()) || got > uint64(after.Nano())+allowed {
			t.Errorf("%d, between %d and %d by the clock", got, before.Nano(), after.Nano())
		}
	}
}
