// Command cmd runs the tests of a package, or any static program, in a virtual machine with two network cards whose drivers do
// zero-copy:
//
//	guest [flags] -- ./afxdp -run TestX      the tests of a package, with flags of go test
//	guest [flags] -- bin/program arguments   a program
//
// It must be built with CGO_ENABLED=0, as `make guest` does, because it is the guest's first process too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm"
	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// Exit statuses beside those of the program.
const (
	exitUsage       = 2
	exitTimeout     = 124
	exitNoBoot      = 125
	exitUnavailable = 126
	exitInterrupted = 130
)

const usage = `guest runs the tests of a package, or a program, in a virtual machine with two network cards, nic0 and nic1, whose drivers
do zero-copy.

  guest [flags] -- ./afxdp -run TestX       tests of a package; flags are those of go test, -v if there are none
  guest [flags] -- bin/program arguments    a static program (built with CGO_ENABLED=0)
  guest suite                               what make test-zerocopy runs, as events; see guest suite -h

The program has XDPSTACK_NICS=nic0,nic1 in its environment. Its output is printed as it comes, timings afterwards. What the guest is
made of is fetched at first, by apt, into the user's cache directory, or $XDPSTACK_CACHE. Two queues with virtio need root.

Exit status: the program's; 2 if this was called wrongly, 124 if the program ran past its time, 125 if the guest did not start
or ended too soon, 126 if none can be had on this machine, 130 after Ctrl-C.

Flags:
`

func main() {
	if guest.IsInit() {
		guest.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	status, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	os.Exit(status)
}

// options are what the command line says.
type options struct {
	config  vm.Config
	timeout time.Duration
	quiet   bool
}

func (o *options) flags(out io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("guest", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	c := &o.config
	fs.StringVar(&c.NIC, "nic", "virtio", "model of the network cards: virtio or igb")
	fs.IntVar(&c.Queues, "queues", 1, "queues of each card")
	fs.StringVar(&c.Wire, "wire", "", "what joins the cards: hub, or tap (root); default hub where it will do")
	fs.IntVar(&c.Processors, "processors", 2, "processors of the guest")
	fs.IntVar(&c.Memory, "memory", 1024, "memory of the guest in `MiB`")
	fs.StringVar(&c.Accel, "accel", "tcg", "tcg, plain emulation; count, with a clock that counts instructions; or kvm")
	fs.StringVar(&c.Options, "options", "", "more `properties` of both cards for QEMU, such as iommu_platform=off")
	fs.StringVar(&c.Append, "append", "", "more of the kernel's command `line`")
	fs.StringVar(&c.Console, "console", "", "write the console of the guest's kernel to this `file`")
	fs.DurationVar(&c.Boot, "boot", 90*time.Second, "how long the guest may take to start")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long the program may run")
	fs.BoolVar(&o.quiet, "q", false, "do not print timings")
	return fs
}

func run(ctx context.Context, args []string, out, messages io.Writer) (int, error) {
	if len(args) > 0 && args[0] == "suite" {
		return runSuite(ctx, args[1:], out, messages)
	}
	var o options
	fs := o.flags(messages)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, nil
	case err != nil: // the flag package has said what is wrong
		return exitUsage, nil
	case fs.NArg() == 0:
		fs.Usage()
		return exitUsage, nil
	}
	say := func(text string) { fmt.Fprintln(messages, "guest:", text) }
	g, err := vm.Prepare(ctx, say)
	if err != nil {
		return statusOf(err), err
	}
	p, err := vm.Load(ctx, fs.Arg(0), fs.Args()[1:])
	if err != nil {
		return exitUsage, err
	}
	p.Step.Timeout, p.Step.Output = o.timeout, out
	report, err := g.Run(ctx, o.config, p.Files, []vm.Step{p.Step})
	if err != nil {
		return statusOf(err), err
	}
	e := report.Steps[0]
	if !o.quiet {
		say(fmt.Sprintf("Linux %s, %s, queues: %d; started in %.1f s (kernel %.1f s), ran %.1f s, %.1f s in all", report.Kernel,
			o.config.NIC, o.config.Queues, report.Boot.Seconds(), report.Guest.Seconds(), e.Elapsed.Seconds(), report.Total.Seconds()))
	}
	switch {
	case e.TimedOut:
		return exitTimeout, fmt.Errorf("ran past its %v", o.timeout)
	case e.Why != "":
		return e.Status, fmt.Errorf("%s: %s", fs.Arg(0), e.Why)
	}
	return e.Status, nil
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, vm.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, vm.ErrTimeout):
		return exitTimeout
	case errors.Is(err, vm.ErrNoBoot), errors.Is(err, vm.ErrDied):
		return exitNoBoot
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitUsage
}
