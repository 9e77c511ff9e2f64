package gen

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/gen/rate"
)

// Profile is what a file says: streams, and how their packets are sent.
type Profile struct {
	Streams []Stream
	// Schedule is how fast, with zeros for what the file does not say. Worker, Workers and Mean are not set. Without a rate it has no
	// phases.
	Schedule rate.Config
	Duration time.Duration // how long, the warm-up not counted; 0: not said. The phases end after it
}

// maxProfile is how long a profile may be in bytes.
const maxProfile = 4 << 20

// LoadProfile reads a profile, in TOML if the file's name ends in .toml, and in YAML if in .yaml or .yml. An error of its content is a
// *Mistakes, with everything that is wrong.
func LoadProfile(path string) (*Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gen: profile: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return nil, fmt.Errorf("gen: profile: %w", err)
	}
	if len(data) > maxProfile {
		return nil, fmt.Errorf("gen: profile %s: larger than %d bytes", path, maxProfile)
	}
	return ParseProfile(path, data)
}

// ParseProfile reads a profile whose file has the given name and content: see LoadProfile.
func ParseProfile(name string, data []byte) (*Profile, error) {
	var m Mistakes
	var root *node
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".toml":
		root = parseTOML(name, data, &m)
	case ".yaml", ".yml":
		root = parseYAML(name, bytes.TrimPrefix(data, []byte("\ufeff")), &m)
	default:
		return nil, fmt.Errorf("gen: profile %s: expected a name that ends in .toml, .yaml or .yml", name)
	}
	r := profileReader{Mistakes: &m}
	if root != nil {
		r.read(root)
	}
	slices.SortStableFunc(m.List, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	if err := m.err(); err != nil {
		return nil, err
	}
	return &r.p, nil
}

// profileReader makes a profile of the tree of its file.
type profileReader struct {
	*Mistakes
	p     Profile
	rates []streamRate
	given map[string]*node // the settings of the schedule
}

// streamRate is the rate of one stream.
type streamRate struct {
	rate rate.Rate
	at   place
	path string
}

// schedule is what a profile may say beside its streams, in the order of the documentation.
var schedule = []string{"rate", "ramp", "step", "duration", "count", "warm-up", "burst", "catch-up", "line-rate"}

func (r *profileReader) read(root *node) {
	if root.kind != table {
		r.add(root.at, "", "expected a table with %s and settings, got %s", "stream", root.kind)
		return
	}
	r.given = map[string]*node{}
	for _, e := range root.table {
		switch {
		case e.name == "stream":
		case !slices.Contains(schedule, e.name):
			r.add(e.at, e.name, "no such setting%s", suggest(e.name, append([]string{"stream"}, schedule...)))
		case e.value.kind != scalar && e.name != "step":
			r.add(e.value.at, e.name, "expected one value, got %s", e.value.kind)
		default:
			r.given[e.name] = e.value
		}
	}
	streams := root.get("stream")
	switch {
	case streams == nil:
		r.add(root.at, "stream", "is missing: expected at least one stream")
	case streams.kind != list:
		r.add(streams.at, "stream", "expected a list of tables ([[stream]] in TOML), got %s", streams.kind)
	default:
		r.streams(streams)
	}
	r.schedule()
}

// streams reads all streams.
func (r *profileReader) streams(n *node) {
	if len(n.list) == 0 || len(n.list) > maxStreams {
		r.add(n.at, "stream", "expected 1 to %d, got %d", maxStreams, len(n.list))
		return
	}
	for i, t := range n.list {
		path := fmt.Sprintf("stream[%d]", i+1)
		if t.kind != table {
			r.add(t.at, path, "expected a table, got %s", t.kind)
			continue
		}
		before := len(r.List)
		d := r.draft(t, path)
		s := resolve(d, r.Mistakes)
		if len(r.List) == before {
			check(&s, d, r.Mistakes)
		}
		r.p.Streams = append(r.p.Streams, s)
	}
}

// draft returns a stream as the file has it.
func (r *profileReader) draft(t *node, path string) *draft {
	d := &draft{at: t.at, field: path}
	if t.get("layer") != nil && t.get("packet") != nil {
		r.add(t.get("packet").at, path+".packet", "contradicts layer: expected one of the two")
	}
	if t.get("layer") == nil && t.get("packet") == nil {
		r.add(t.at, path, "expected layer, a list of tables, or packet, a text such as \"udp,dst=10.0.0.1\"")
	}
	rated := false
	for _, e := range t.table {
		switch {
		case e.name == "layer":
			r.layers(d, e.value)
		case e.name == "packet" && e.value.kind == scalar:
			d.layers = parseSpec(e.value.text, e.value.at, r.Mistakes).layers
		case e.name == "rate" && e.value.kind == scalar:
			rated = true
			r.streamRate(e.value, path+".rate")
		default:
			if text, ok := r.text(e.value, path+"."+e.name); ok {
				d.settings = append(d.settings, item{e.at, e.value.at, e.name, text})
			}
		}
	}
	if !rated {
		r.rates = append(r.rates, streamRate{at: t.at, path: path})
	}
	return d
}

// layers reads the layers of a stream.
func (r *profileReader) layers(d *draft, n *node) {
	path := d.field + ".layer"
	if n.kind != list {
		r.add(n.at, path, "expected a list of tables ([[stream.layer]] in TOML), got %s", n.kind)
		return
	}
	for _, t := range n.list {
		if t.kind != table {
			r.add(t.at, path, "expected a table with kind and fields, got %s", t.kind)
			continue
		}
		l := draftLayer{at: t.at}
		kind := t.get("kind")
		if kind == nil || kind.kind != scalar {
			r.add(t.at, path, "expected kind, one of %s", strings.Join(layerNames(), ", "))
			continue
		}
		l.name, l.at = kind.text, kind.at
		for _, e := range t.table {
			if e.name == "kind" {
				continue
			}
			if text, ok := r.text(e.value, path+"."+l.name+"."+e.name); ok {
				l.items = append(l.items, item{e.at, e.value.at, e.name, text})
			}
		}
		d.layers = append(d.layers, l)
	}
}

// text returns the value of a field as the command line would have it: lists with commas.
func (r *profileReader) text(n *node, path string) (string, bool) {
	switch n.kind {
	case scalar:
		return n.text, true
	case list:
		var parts []string
		for _, x := range n.list {
			if x.kind != scalar {
				r.add(x.at, path, "expected a value in the list, got %s", x.kind)
				return "", false
			}
			parts = append(parts, x.text)
		}
		return strings.Join(parts, ","), true
	}
	r.add(n.at, path, "expected a value or a list of values, got %s", n.kind)
	return "", false
}

func (r *profileReader) streamRate(n *node, path string) {
	v, err := rate.Parse(n.text)
	if err != nil {
		r.add(n.at, path, "%v", err)
	} else if v.Unit == rate.Unlimited || v.Unit == rate.Line || v.Value == 0 {
		r.add(n.at, path, "expected packets or bits a second, such as 10kpps or 2Gbit, got %q", n.text)
	}
	r.rates = append(r.rates, streamRate{v, n.at, path})
}

// schedule reads the settings of how packets are sent.
func (r *profileReader) schedule() {
	s := &r.p.Schedule
	duration := r.duration("duration")
	r.p.Duration = duration
	s.WarmUp, s.CatchUp = r.duration("warm-up"), r.duration("catch-up")
	s.Count = uint64(r.number("count", math.MaxInt64))
	s.Burst = int(r.number("burst", math.MaxInt32))
	if n := r.given["line-rate"]; n != nil {
		v, err := rate.Parse(n.text)
		if s.Line = v.Value; err != nil || v.Unit != rate.L2 || v.Value == 0 {
			r.add(n.at, "line-rate", "expected bits a second, such as 10Gbit, got %q", n.text)
		}
	}
	r.phases(duration)
	if r.streamsHaveRates() {
		r.shareRates(duration)
	}
}

// phases reads rate, ramp or step.
func (r *profileReader) phases(duration time.Duration) {
	s := &r.p.Schedule
	var which []string
	for _, name := range []string{"rate", "ramp", "step"} {
		n := r.given[name]
		if n == nil {
			continue
		}
		if which = append(which, name); len(which) > 1 {
			r.add(n.at, name, "contradicts %s: expected one of the two", which[0])
			return
		}
		var err error
		switch name {
		case "rate":
			var v rate.Rate
			v, err = rate.Parse(n.text)
			s.Phases = []rate.Phase{rate.Constant(v, duration)}
		case "ramp":
			var p rate.Phase
			p, err = rate.ParseRamp(n.text)
			s.Phases = []rate.Phase{p}
			if rest := duration - p.For; duration == 0 || rest > 0 {
				s.Phases = append(s.Phases, rate.Constant(p.To, max(rest, 0)))
			} else if rest < 0 && err == nil {
				err = fmt.Errorf("takes longer than the duration, %v", duration)
			}
		case "step":
			text, ok := r.text(n, name)
			if !ok {
				return
			}
			s.Phases, err = rate.ParseSteps(text)
			if err == nil && duration != 0 {
				err = fmt.Errorf("contradicts duration: steps have times of their own")
			}
		}
		if err != nil {
			r.add(n.at, name, "%v", err)
		}
	}
}

// duration reads a time.
func (r *profileReader) duration(name string) time.Duration {
	n := r.given[name]
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.text)
	if err != nil || d <= 0 {
		r.add(n.at, name, "expected a time such as 30s, got %q", n.text)
	}
	return d
}

// number reads a number of at least 1.
func (r *profileReader) number(name string, most int64) int64 {
	n := r.given[name]
	if n == nil {
		return 0
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil || v < 1 || v > most {
		r.add(n.at, name, "expected a number from 1 to %d, got %q", most, n.text)
	}
	return v
}

func (r *profileReader) streamsHaveRates() bool {
	return slices.ContainsFunc(r.rates, func(s streamRate) bool { return s.rate.Value > 0 })
}

// shareRates turns the rates of streams into one rate in packets, and weights.
func (r *profileReader) shareRates(duration time.Duration) {
	for _, name := range []string{"rate", "ramp", "step"} {
		if n := r.given[name]; n != nil {
			r.add(n.at, name, "contradicts the rates of the streams: expected either")
		}
	}
	for i, s := range r.rates {
		switch {
		case s.rate.Value == 0 && !strings.HasSuffix(s.path, ".rate"):
			r.add(s.at, s.path, "expected a rate, as other streams have one")
		case i < len(r.p.Streams) && r.p.Streams[i].Weight != 0:
			r.add(s.at, s.path, "contradicts weight: expected one of the two")
		}
	}
	if len(r.List) > 0 {
		return
	}
	total, least := 0.0, math.Inf(1)
	pps := make([]float64, len(r.rates))
	for i, s := range r.rates {
		pps[i] = s.rate.PPS(r.p.Streams[i].meanLen())
		total += pps[i]
		least = min(least, pps[i])
	}
	// Kept exactly if they are in a proportion of whole numbers that add up to at most maxRound, else to within a part of so many.
	most := maxRound * least / total
	if most < 1 {
		r.add(r.rates[0].at, "stream", "the rates are too far apart: expected at least 1 packet of %d of each stream", maxRound)
		return
	}
	scale := 1.0
	for scale <= most && !wholes(pps, least/scale) {
		scale++
	}
	if scale > most {
		scale = most
	}
	for i := range pps {
		r.p.Streams[i].Weight = max(int(math.Round(pps[i]/least*scale)), 1)
	}
	r.p.Schedule.Phases = []rate.Phase{rate.Constant(rate.PPS(total), duration)}
}

// wholes reports whether all values are whole multiples of unit.
func wholes(values []float64, unit float64) bool {
	for _, v := range values {
		if n := v / unit; math.Abs(n-math.Round(n)) > 1e-9*n {
			return false
		}
	}
	return true
}

// meanLen returns the mean length of the stream's packets in bytes, without frame check sequence.
func (s *Stream) meanLen() float64 {
	l, problems := s.layout()
	if len(problems) > 0 {
		return MinLen
	}
	total := 0.0
	for _, i := range l.turn {
		total += float64(l.sizes[i])
	}
	return total / float64(len(l.turn))
}
