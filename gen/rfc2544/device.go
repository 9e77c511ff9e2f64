package rfc2544

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Size is the length of the frames of a trial in bytes, the frame check sequence included, or IMIX.
type Size int

// IMIX is frames of several sizes, seven of 64 bytes to four of 594 and one of 1518: RFC 6985 would write it in full.
const IMIX Size = -1

// Sizes are those of RFC 2544 section 9.1 for Ethernet, a jumbo frame, and IMIX.
var Sizes = []Size{64, 128, 256, 512, 1024, 1280, 1518, 9000, IMIX}

// The frames of IMIX, and how many there are of each in twelve.
var imix = [...]struct{ bytes, share int }{{64, 7}, {594, 4}, {1518, 1}}

// overhead is what a frame takes on the medium beyond its own bytes: preamble, start delimiter and gap (IEEE 802.3 section 4.2.3).
const overhead = 20

// String writes the size as ParseSizes reads it.
func (s Size) String() string {
	if s == IMIX {
		return "imix"
	}
	return strconv.Itoa(int(s))
}

// MarshalText writes the size for JSON and CSV.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Size) UnmarshalText(text []byte) error {
	sizes, err := ParseSizes(string(text))
	if err == nil && len(sizes) != 1 {
		err = fmt.Errorf("frame size %q: want one", text)
	}
	if err != nil {
		return err
	}
	*s = sizes[0]
	return nil
}

// Mean returns the mean length of the frames in bytes.
func (s Size) Mean() float64 {
	if s != IMIX {
		return float64(s)
	}
	sum, n := 0, 0
	for _, f := range imix {
		sum, n = sum+f.bytes*f.share, n+f.share
	}
	return float64(sum) / float64(n)
}

// Longest returns the length of the longest of the frames in bytes.
func (s Size) Longest() int {
	if s == IMIX {
		return imix[len(imix)-1].bytes
	}
	return int(s)
}

// Line returns how many of the frames a medium of so many bits a second carries in a second.
func (s Size) Line(bits float64) float64 { return bits / 8 / (s.Mean() + overhead) }

// ParseSizes reads a list such as "64,1518,imix"; "all" is Sizes.
func ParseSizes(text string) ([]Size, error) {
	if text == "all" {
		return Sizes, nil
	}
	var sizes []Size
	for _, word := range strings.Split(text, ",") {
		if strings.EqualFold(word, "imix") {
			sizes = append(sizes, IMIX)
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 64 || n > 9216 {
			return nil, fmt.Errorf("frame size %q: want 64 to 9216 bytes, the frame check sequence included, imix, or all", word)
		}
		sizes = append(sizes, Size(n))
	}
	return sizes, nil
}

// Trial is what a device is to be offered: frames of a size at a constant rate for a time or, with Burst, so many frames back to back.
type Trial struct {
	Size     Size
	Rate     float64 // frames a second
	Duration time.Duration
	Burst    uint64        // frames in place of Rate and Duration
	Wait     time.Duration // after the last frame, for those that are still on their way
	Settle   time.Duration // after that, for the device to come to rest
}

// Outcome is what became of a trial.
type Outcome struct {
	Sent     uint64
	Received uint64 // of those that were sent, each counted once
	// Duplicates and Reordered are frames that came again, and that came behind a later one.
	Duplicates, Reordered uint64
	Sending               time.Duration // from the first frame to the last
	// Latency is that of the frames that came, in ns; nil if it was not measured.
	Latency *hdrhistogram.Histogram
	Took    time.Duration // all of it, with the waiting
}

// Device is a network under test, with the ports that send into it and receive from it.
type Device interface {
	// Check says why frames of a size cannot be sent, nil if they can.
	Check(Size) error
	// Line returns the rate of the medium that the frames are sent on, bits a second.
	Line() float64
	// Trial does one. It ends early, with the context's error, when the context is done.
	Trial(context.Context, Trial) (Outcome, error)
}

// loss returns the share of the frames that were sent and did not come, 0 to 1.
func (o *Outcome) loss() float64 {
	if o.Sent == 0 || o.Received >= o.Sent {
		return 0
	}
	return float64(o.Sent-o.Received) / float64(o.Sent)
}

// offered returns the rate at which the frames were really sent, frames a second.
func (o *Outcome) offered(t *Trial) float64 {
	d := t.Duration
	if t.Burst > 0 || o.Sending > d {
		d = o.Sending
	}
	if d <= 0 {
		return 0
	}
	return float64(o.Sent) / d.Seconds()
}
