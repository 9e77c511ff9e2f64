package guest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain is also the program that steps run.
func TestMain(m *testing.M) {
	switch os.Getenv("GUEST_TEST") {
	case "status":
		os.Stdout.WriteString("out\n")
		os.Stderr.WriteString(os.Getenv("XDPSTACK_NICS") + "\n")
		os.Exit(7)
	case "hang":
		time.Sleep(time.Minute)
	case "panic":
		panic("at the disco")
	}
	os.Exit(m.Run())
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	r := &reporter{out: &b}
	r.record(KindBooted, encode(Booted{Kernel: "7.3", Uptime: 1.5}))
	long := strings.Repeat("x", maxRecord+10)
	if n, err := io.WriteString(r, long); n != len(long) || err != nil {
		t.Fatal(n, err)
	}
	r.record(KindDone, nil)
	text := b.Bytes()

	var got []Record
	for {
		record, err := ReadRecord(&b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record)
	}
	var booted Booted
	if len(got) != 4 || got[0].Decode(&booted) != nil || booted.Kernel != "7.3" || booted.Uptime != 1.5 || got[3].Kind != KindDone {
		t.Fatalf("%d records, %+v", len(got), booted)
	}
	if output := string(got[1].Payload) + string(got[2].Payload); output != long || got[1].Kind != KindOutput {
		t.Errorf("%d bytes of output", len(output))
	}
	for _, cut := range []int{1, headerLen - 1, headerLen + 3} {
		if _, err := ReadRecord(bytes.NewReader(text[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: %v", cut, err)
		}
	}
	if _, err := ReadRecord(strings.NewReader("o\xff\xff\xff\xff")); err == nil {
		t.Error("a record of 4 GiB was read")
	}
	if err := got[1].Decode(&booted); err == nil {
		t.Error("output was decoded")
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		what    string
		step    Step
		want    Ended
		outputs []string
	}{
		{"status", Step{}, Ended{Status: 7}, []string{"out\n", "nic0,nic1\n"}},
		{"panic", Step{}, Ended{Status: 2}, []string{"panic: at the disco"}},
		{"hang", Step{Timeout: 200 * time.Millisecond}, Ended{Status: 2, TimedOut: true}, []string{"SIGQUIT: quit", "goroutine"}},
		{"nothing", Step{Args: []string{"/no/program"}}, Ended{Status: 127, Why: "fork/exec /no/program: no such file or directory"}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.step.Args == nil {
				c.step.Args = []string{os.Args[0]}
			}
			c.step.Dir, c.step.Env = "/", []string{"GUEST_TEST=" + c.what}
			var output bytes.Buffer
			got := c.step.run(&output)
			got.Elapsed = 0
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			for _, want := range c.outputs {
				if !strings.Contains(output.String(), want) {
					t.Errorf("no %q in %s", want, output.String())
				}
			}
		})
	}
}
