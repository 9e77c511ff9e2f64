package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// indexVariable is where Kubernetes tells each copy of an Indexed Job its number, from 0.
const indexVariable = "JOB_COMPLETION_INDEX"

// maxWorkers bounds how many work together.
const maxWorkers = 100_000

// ParseWorker reads which of several workers this one is: "0/4" to "3/4", or "auto/4", where the environment has the number as Kubernetes
// gives it to the copies of an Indexed Job.
func ParseWorker(text string, getenv func(string) string) (worker, workers int, err error) {
	index, count, ok := strings.Cut(text, "/")
	workers, err = strconv.Atoi(count)
	if !ok || err != nil || workers < 1 || workers > maxWorkers {
		return 0, 0, fmt.Errorf("%q: want the number of this worker, from 0, and how many there are: 0/4, or auto/4", text)
	}
	if index == "auto" {
		if index = getenv(indexVariable); index == "" {
			return 0, 0, fmt.Errorf("%q: the environment has no %s, which Kubernetes sets for the copies of an Indexed Job",
				text, indexVariable)
		}
	}
	worker, err = strconv.Atoi(index)
	if err != nil || worker < 0 || worker >= workers {
		return 0, 0, fmt.Errorf("%q: %s is none of the workers 0 to %d", text, index, workers-1)
	}
	return worker, workers, nil
}

// maxAhead bounds how far in the future a start may be: further is another unit, or a mistake.
const maxAhead = 7 * 24 * time.Hour

// ParseStart reads a time to start at: RFC 3339, or seconds since 1970. It must be ahead.
func ParseStart(text string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		seconds, numberErr := strconv.ParseFloat(text, 64)
		if numberErr != nil || !(math.Abs(seconds) < 1e15) {
			return t, fmt.Errorf("%q: want a time such as 2006-01-02T15:04:05Z, or seconds since 1970", text)
		}
		whole := math.Floor(seconds)
		t = time.Unix(int64(whole), int64(math.Round((seconds-whole)*1e9)))
	}
	switch ahead := t.Sub(now); {
	case ahead <= 0:
		return t, fmt.Errorf("%s is %v ago: choose a time at which all workers are ready", text, (-ahead).Round(time.Millisecond))
	case ahead > maxAhead:
		return t, fmt.Errorf("%s is more than a week away: want seconds since 1970, not milliseconds", text)
	}
	return t, nil
}
