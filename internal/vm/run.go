package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// What can go wrong with a guest that is there. Errors that wrap them have the last lines of the guest's console.
var (
	ErrNoBoot  = errors.New("the guest did not start")
	ErrTimeout = errors.New("the guest ran past its time")
	ErrDied    = errors.New("the guest ended before its work was done")
)

// File is a file in the guest.
type File struct {
	Path    string // absolute
	Mode    uint32 // permissions
	Content []byte
}

// Step is a program that runs in the guest, and who gets its output. Steps run one after the other, whatever their status.
type Step struct {
	guest.Step
	Output io.Writer         // standard output and error together; may be nil
	Ended  func(guest.Ended) // hears how it ended; may be nil
}

// Report is what a guest did.
type Report struct {
	Kernel string
	Boot   time.Duration // from the start of QEMU to the first step
	Guest  time.Duration // of that, by the guest's kernel: without QEMU's own start and the firmware
	Total  time.Duration
	Steps  []guest.Ended // of those steps that ended
}

// endGrace is how much longer than all its steps a guest may take, beside its boot.
const endGrace = 20 * time.Second

// Run boots a guest with the files, runs the steps and ends it. A step that fails is no error: the report has its status. Steps
// without a timeout are not bounded but by ctx.
func (g *Guest) Run(ctx context.Context, cfg Config, files []File, steps []Step) (*Report, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	initrd, err := memoryFile("initrd")
	if err != nil {
		return nil, err
	}
	defer initrd.Close()
	console, err := consoleFile(cfg.Console)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	if err := g.writeInitrd(initrd, &cfg, files, steps); err != nil {
		return nil, fmt.Errorf("vm: archive of the guest's files: %w", err)
	}
	r := &running{report: new(Report), steps: steps}
	err = r.run(ctx, &cfg, g.qemu, cfg.arguments(g), initrd, console)
	switch {
	case err == nil, errors.Is(err, ErrUnavailable):
	case errors.Is(err, context.Canceled):
		err = fmt.Errorf("vm: %w", err)
	default:
		err = fmt.Errorf("vm: %s, %d queues: %w%s", cfg.NIC, cfg.Queues, err, consoleTail(console))
	}
	return r.report, err
}

// memoryFile is a file that has no name, and so is gone when the last process that has it open ends.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// consoleFile is what gets the console's text.
func consoleFile(path string) (*os.File, error) {
	if path == "" {
		return memoryFile("console")
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("vm: console: %w", err)
	}
	return f, nil
}

const consoleLines = 15

// terminalCodes are what the firmware clears the screen with.
var terminalCodes = regexp.MustCompile("\x1b(c|\\[[?0-9;]*[A-Za-z])")

// consoleTail is what the guest's kernel said last, for an error.
func consoleTail(console io.ReaderAt) string {
	text, _ := io.ReadAll(io.NewSectionReader(console, 0, 1<<20))
	if tail := lastLines(terminalCodes.ReplaceAllString(string(text), ""), consoleLines); tail != "" {
		return "\nlast lines of its console:\n" + tail
	}
	return "; its console is empty"
}

// writeInitrd writes what the kernel unpacks: the drivers, and after them what is of this run only.
func (g *Guest) writeInitrd(out io.Writer, cfg *Config, files []File, steps []Step) error {
	job := guest.Job{Queues: cfg.Queues}
	for _, s := range steps {
		job.Steps = append(job.Steps, s.Step)
	}
	base, err := os.ReadFile(g.base)
	if err != nil {
		return err
	}
	if _, err := out.Write(base); err != nil {
		return err
	}
	a := newArchive(out)
	a.file(guest.InitPath[1:], 0o755, g.init)
	a.file(guest.JobPath[1:], 0o644, job.Encode())
	for _, f := range files {
		a.file(f.Path[1:], f.Mode, f.Content)
	}
	return a.close()
}

// running is a guest that runs.
type running struct {
	report *Report
	steps  []Step
	start  time.Time
	done   bool // the guest said that all steps ran
}

func (r *running) run(ctx context.Context, cfg *Config, q *qemu, args []string, initrd, console *os.File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.start = time.Now()
	p, err := startQEMU(cfg, q, args, initrd, console)
	if err != nil {
		return err
	}
	defer p.end()
	defer context.AfterFunc(ctx, p.kill)()
	boot := time.AfterFunc(cfg.Boot, func() { cancel(fmt.Errorf("%w in %v", ErrNoBoot, cfg.Boot)) })
	defer boot.Stop()
	err = r.follow(p.report, func() {
		boot.Stop()
		if all, bounded := r.bound(); bounded {
			boot = time.AfterFunc(all, func() { cancel(fmt.Errorf("%w of %v", ErrTimeout, all)) })
		}
	})
	r.report.Total = time.Since(r.start)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if r.done || err != nil {
		return err
	}
	// QEMU closed its end: it says why by itself, or the guest's kernel does.
	if said := p.end(); said != "" {
		return fmt.Errorf("%w: QEMU: %s", ErrDied, said)
	}
	if r.report.Boot == 0 {
		return ErrNoBoot
	}
	return ErrDied
}

// bound is how long all steps may take together, if each is bounded.
func (r *running) bound() (all time.Duration, bounded bool) {
	all = endGrace
	for _, s := range r.steps {
		if s.Timeout == 0 {
			return 0, false
		}
		all += s.Timeout + endGrace/2
	}
	return all, true
}

// follow reads the report to its end.
func (r *running) follow(from io.Reader, booted func()) error {
	step := Step{Output: io.Discard}
	for {
		record, err := guest.ReadRecord(from)
		if err != nil { // a connection that ends, however, is a guest that ended
			return nil
		}
		switch record.Kind {
		case guest.KindBooted:
			var b guest.Booted
			if err := record.Decode(&b); err != nil {
				return err
			}
			r.report.Kernel, r.report.Boot = b.Kernel, time.Since(r.start)
			r.report.Guest = time.Duration(b.Uptime * float64(time.Second))
			booted()
		case guest.KindStep:
			if i, err := strconv.Atoi(string(record.Payload)); err == nil && i < len(r.steps) {
				step = r.steps[i]
				set(&step.Output, io.Discard)
			}
		case guest.KindOutput:
			if _, err := step.Output.Write(record.Payload); err != nil {
				return err
			}
		case guest.KindEnded:
			var e guest.Ended
			if err := record.Decode(&e); err != nil {
				return err
			}
			r.report.Steps = append(r.report.Steps, e)
			if step.Ended != nil {
				step.Ended(e)
			}
		case guest.KindFailed:
			return fmt.Errorf("%w: %s", ErrNoBoot, record.Payload)
		case guest.KindDone:
			r.done = true
			return nil
		}
	}
}
