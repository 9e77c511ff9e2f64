package veth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// bindInterrupts binds the interrupts of a network card at either end, if there is one, to the processor of what uses it: what an end
// costs, its driver's work included, is then on one processor. A virtual link has none.
func (r *Runner) bindInterrupts(lab *netlab.Lab) error {
	for _, end := range []struct {
		side *netlab.Side
		cpu  int
	}{{lab.Stack, r.ServerCPU}, {lab.Kernel, r.ClientCPU}} {
		irqs, err := interrupts(end.side)
		if err != nil {
			return err
		}
		for _, irq := range irqs {
			path := filepath.Join("/proc/irq", irq, "smp_affinity_list")
			// EIO: of an interrupt that the driver manages, as of a control queue, nobody may choose the processor.
			if err := os.WriteFile(path, []byte(strconv.Itoa(end.cpu)), 0); err != nil && !errors.Is(err, unix.EIO) {
				return fmt.Errorf("veth: bind an interrupt of %s to processor %d: %w", end.side.Interface, end.cpu, err)
			}
		}
	}
	return nil
}

// interrupts returns the numbers of the interrupts of a side's network card. The bus address is what tells its device in every
// namespace; that of a virtual interface names none.
func interrupts(side *netlab.Side) (irqs []string, err error) {
	err = side.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		address, err := tool.BusInfo(side.Interface)
		if err != nil || address == "" {
			return nil // it has no driver that says so
		}
		entries, err := os.ReadDir(filepath.Join("/sys/bus/pci/devices", address, "msi_irqs"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, e := range entries {
			irqs = append(irqs, e.Name())
		}
		return err
	})
	return irqs, err
}
