package show

import (
	"fmt"
	"math"
	"strconv"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// number formats a value with three significant digits or, from a thousand on, as a whole number with separators.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return thousands(int64(math.Round(v)))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// small is number with nothing written as 0: a thousandth is below what can be told apart.
func small(v float64) string {
	if math.Abs(v) < 0.001 {
		return "0"
	}
	return number(v)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// value formats the median and the extremes.
func value(s result.Summary) string {
	if s.N < 2 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s … %s)", number(s.Median), number(s.Min), number(s.Max))
}

// ratio formats how many times better ours is, with the extremes of the pairs.
func ratio(s result.Summary) string {
	switch s.N {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%.2f×", s.Median)
	}
	return fmt.Sprintf("%.2f× (%.2f … %.2f)", s.Median, s.Min, s.Max)
}

// cpu formats processor time per second of the window: of the process, of the threads that receive for it, where there are any, and of the
// processor that they are bound to.
func cpu(s *result.Side, of func(result.Run) result.CPU) string {
	process := s.Median(func(r result.Run) float64 { return perSecond(of(r).Process, r) })
	core := s.Median(func(r result.Run) float64 { return perSecond(of(r).Core, r) })
	receive := s.Median(func(r result.Run) float64 { return perSecond(of(r).Receive, r) })
	if process.N == 0 || process.Median == 0 && core.Median == 0 {
		return ""
	}
	text := fmt.Sprintf("%.2f", process.Median)
	if receive.Median > 0 {
		text += fmt.Sprintf(" + %.2f", receive.Median)
	}
	if core.Median > 0 {
		text += fmt.Sprintf(" / %.2f", core.Median)
	}
	return text
}

func perSecond(v float64, r result.Run) float64 {
	if r.Seconds == 0 {
		return 0
	}
	return v / r.Seconds
}

// perCPU returns the work done for each second of processor time, that of both processors together.
func perCPU(s *result.Side) (result.Summary, bool) {
	v := s.Median(func(r result.Run) float64 {
		if r.Busy == 0 {
			return 0
		}
		return r.Value * r.Seconds / r.Busy
	})
	return v, v.N > 0 && v.Median > 0
}

// collections formats what the garbage collector of the process under test did: cycles in a run, the longest pause of all runs.
func collections(s *result.Side) string {
	var pause float64
	n := 0
	for _, r := range s.Runs {
		if r.GC != nil {
			n++
			pause = max(pause, r.GC.PauseMax)
		}
	}
	if n == 0 {
		return ""
	}
	cycles := s.Median(func(r result.Run) float64 {
		if r.GC == nil {
			return math.NaN()
		}
		return float64(r.GC.Cycles)
	})
	if cycles.Max == 0 {
		return "0"
	}
	return fmt.Sprintf("%.0f / %s µs", cycles.Median, number(pause*1e6))
}
