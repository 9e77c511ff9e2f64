package child

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/stat: USER_HZ is 100 on every Linux architecture that Go runs on.
const tick = 10 * time.Millisecond

// Busy returns how long each processor has not been idle since the machine started: processes, kernel threads and interrupts.
func Busy() ([]time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, fmt.Errorf("child: read processor times: %w", err)
	}
	return parseStat(string(b))
}

// parseStat reads /proc/stat: "cpu0 user nice system idle iowait irq softirq steal guest guest_nice". Guest time is part of user
// time; stolen time is not this machine's.
func parseStat(text string) ([]time.Duration, error) {
	var busy []time.Duration
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" {
			continue
		}
		n, err := strconv.Atoi(f[0][3:])
		if err != nil {
			return nil, fmt.Errorf("child: processor %q in /proc/stat", f[0])
		}
		var sum time.Duration
		for _, i := range []int{1, 2, 3, 6, 7} {
			v, err := strconv.ParseInt(f[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("child: line of %s in /proc/stat: %w", f[0], err)
			}
			sum += time.Duration(v) * tick
		}
		for len(busy) <= n {
			busy = append(busy, 0)
		}
		busy[n] = sum
	}
	if len(busy) == 0 {
		return nil, fmt.Errorf("child: no processor in /proc/stat")
	}
	return busy, nil
}
