package program

import (
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/load"
)

func TestReadResults(t *testing.T) {
	for _, tt := range []struct {
		name, out     string
		read          func([]byte) (load.Result, error)
		count, errors float64
	}{
		{"wrk", "Running 1s test\n  39811 requests in 1.10s, 5.39MB read\nRequests/sec:  36191.02\n", readWrk, 39811, 0},
		{"wrk with errors", "  10 requests in 1.10s, 5.39MB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n", readWrk, 10, 15},
		{"ab", "Complete requests:      9123\nFailed requests:        7\n", readAB, 9123, 7},
		{"iperf3", `{"end":{"sum_received":{"bytes":12345}}}`, readIPerf3, 12345, 0},
	} {
		r, err := tt.read([]byte(tt.out))
		if err != nil || r.Count != tt.count || r.Errors != tt.errors {
			t.Errorf("%s: %+v, %v, want %v with %v failures", tt.name, r, err, tt.count, tt.errors)
		}
		if _, err := tt.read([]byte("{}")); err == nil {
			t.Errorf("%s: a result of nothing", tt.name)
		}
	}
	if _, err := readIPerf3([]byte(`{"end":{"sum_received":{"bytes":5}},"error":"x"}`)); err == nil {
		t.Error("iperf3: a result of a test that failed")
	}
}
