package report

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What is read back is what was written, to the last bucket.
func TestResultRoundTrip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.json")
	want := sample(t, 0, 1, began)
	if err := want.WriteFile(name, nil); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := want.Write(&a); err != nil {
		t.Fatal(err)
	}
	if err := got.Write(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("%v, the same %v", err, bytes.Equal(a.Bytes(), b.Bytes()))
	}
	if !reflect.DeepEqual(got.Histograms["total"].Values(), want.Histograms["total"].Values()) {
		t.Errorf("percentiles %v, want %v", got.Histograms["total"].Values(), want.Histograms["total"].Values())
	}
	if lines := strings.Count(a.String(), "\n    {\"time\":"); lines != len(want.Series) {
		t.Errorf("%d entries of the series have a line of their own, of %d", lines, len(want.Series))
	}
	if left, _ := filepath.Glob(name + ".*"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestReadRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t, 0, 1, began).Write(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	for _, c := range []struct{ name, in, want string }{
		{"text", "hello", "not a result file"},
		{"other JSON", `{"a": 1}`, "no schema and tool"},
		{"another version", strings.Replace(good, `"schema": 1`, `"schema": 7`, 1), "schema is version 7"},
		{"cut off", good[:len(good)/2], "not a result file"},
		{"a damaged histogram", strings.Replace(good, `"hdr": "HIST`, `"hdr": "HXST`, 1), "decode a histogram"},
		{"no histogram", strings.Replace(good, `"hdr": "HIST`, `"hrd": "HIST`, 1), "no field hdr"},
		{"a histogram of null", strings.Replace(good, `"histograms": {`, `"histograms": {"x": null, `, 1), "missing"},
		{"a damaged histogram of the series", strings.Replace(good, `"hdr":"HIST`, `"hdr":"HXST`, 1), "decode a histogram"},
		{"an impossible worker", strings.Replace(good, `"workers": 1`, `"workers": 0`, 1), "workers"},
		{"a time before", strings.Replace(good, `"duration_ns": `, `"duration_ns": -`, 1), "negative"},
	} {
		if _, err := Read(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Whatever is read can be summed up, merged, drawn and written again.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample(f, 0, 2, began).Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"schema":1,"tool":"load","workers":1,"worker":[0],"histograms":{"total":{"hdr":""}}}`))
	f.Add([]byte(`{"schema":1,"tool":"load","workers":2,"worker":[1],"series":[{"time":1,"counters":{"done":1}}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		r.ErrorShare()
		r.Rate("done")
		other := sample(t, 0, 2, r.Start)
		if merged, err := Merge(r, other); err == nil {
			merged.Missing()
		}
		if err := errors.Join(r.Write(io.Discard), r.WriteHDRLog(io.Discard)); err != nil && !strings.Contains(err.Error(), "tag string") {
			t.Errorf("what was read cannot be written: %v", err)
		}
		if err := r.WriteHTML(io.Discard); err != nil {
			t.Errorf("what was read has no page: %v", err)
		}
	})
}

func TestWriteFileToPipe(t *testing.T) {
	if err := sample(t, 0, 1, began).WriteFile(os.DevNull, nil); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	if err := sample(t, 0, 1, began).WriteFile("-", &b); err != nil || b.Len() == 0 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}
