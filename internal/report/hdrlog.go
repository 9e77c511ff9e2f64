package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// WriteHDRLog writes the series in the format of HdrHistogram's logs, which HistogramLogProcessor, HistogramLogAnalyzer and their like
// read: a line for each second and histogram, times in seconds since the start, values in ns. The lines of the main histogram have no
// tag, because that is what those tools read unless told otherwise; the others' tag is their name. The warm-up is left out.
func (r *Result) WriteHDRLog(to io.Writer) error {
	w := hdrhistogram.NewHistogramLogWriter(to)
	base := r.Start.Unix() * 1000
	if len(r.Series) > 0 {
		base = min(base, r.Series[0].Time*1000)
	}
	err := errors.Join(
		w.OutputComment(fmt.Sprintf("[Logged by xdpstack %s, worker %s of %d; values in ns]", r.Tool, joinInts(r.Of), r.Workers)),
		w.OutputLogFormatVersion(), w.OutputBaseTime(base), w.OutputStartTime(base), w.OutputLegend())
	w.SetBaseTime(base)
	for i := range r.Series {
		if s := &r.Series[i]; !s.Warmup {
			err = errors.Join(err, r.logSecond(w, s))
		}
	}
	if err != nil {
		return fmt.Errorf("write the HDR log: %w", err)
	}
	return nil
}

func (r *Result) logSecond(w *hdrhistogram.HistogramLogWriter, s *Second) error {
	start := s.Time * 1000
	if s.Time == r.Start.Unix() { // of the first second only the end was measured
		start = r.Start.UnixMilli()
	}
	for _, name := range slices.Sorted(maps.Keys(s.Histograms)) {
		h := s.Histograms[name].Clone()
		h.SetStartTimeMs(start)
		h.SetEndTimeMs(start + s.Span.Milliseconds())
		if name != r.Main {
			h.SetTag(name)
		}
		if err := w.OutputIntervalPackedHistogram(h.PackedHistogram); err != nil {
			return err
		}
	}
	return nil
}

// WriteHDRFile writes the log as a file, or on w if the name is "-".
func (r *Result) WriteHDRFile(name string, w io.Writer) error {
	if name == "-" {
		return r.WriteHDRLog(w)
	}
	var b bytes.Buffer
	if err := r.WriteHDRLog(&b); err != nil {
		return err
	}
	return replaceFile(name, b.Bytes())
}
