package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/bpf"
)

// Rate is how much each source may send: so many a second, and Burst at once after a pause. 0 a second: no limit.
type Rate struct {
	PerSecond uint64 `json:"per_second"`
	Burst     uint64 `json:"burst,omitempty"` // default as many as in a second
}

// Rates are the limits for each source.
type Rates struct {
	SYNs    Rate `json:"syns"`
	Packets Rate `json:"packets"`
}

// ParseRate reads a rate such as 100/s or 10k/s; off is none.
func ParseRate(s string) (Rate, error) {
	if s == "off" {
		return Rate{}, nil
	}
	number := strings.TrimSuffix(s, "/s")
	unit := uint64(1)
	switch {
	case strings.HasSuffix(number, "k"):
		number, unit = strings.TrimSuffix(number, "k"), 1000
	case strings.HasSuffix(number, "M"):
		number, unit = strings.TrimSuffix(number, "M"), 1_000_000
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || n*unit > bpf.MaxRate {
		return Rate{}, fmt.Errorf("filter: %q is no rate: want 1/s to %dM/s, such as 100/s or 10k/s, or off", s, bpf.MaxRate/1_000_000)
	}
	return Rate{PerSecond: n * unit}, nil
}

func (r Rate) String() string {
	if r.PerSecond == 0 {
		return "off"
	}
	return strconv.FormatUint(r.PerSecond, 10) + "/s"
}

func (r Rate) program() bpf.Rate {
	if r.Burst == 0 {
		r.Burst = r.PerSecond
	}
	return bpf.Rate(r)
}

func (r Rates) program() bpf.Rates {
	return bpf.Rates{SYNs: r.SYNs.program(), Packets: r.Packets.program()}
}

func (r *Rates) check() error {
	for _, one := range []Rate{r.SYNs, r.Packets} {
		if one.PerSecond > bpf.MaxRate || one.Burst > math.MaxUint32 {
			return fmt.Errorf("filter: a rate of %d/s with a burst of %d: at most %d and %d", one.PerSecond, one.Burst, bpf.MaxRate,
				uint32(math.MaxUint32))
		}
	}
	return nil
}
