package irq

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestList(t *testing.T) {
	for _, c := range []struct {
		text string
		want []int
	}{
		{"", nil}, {"0", []int{0}}, {"0-3,8\n", []int{0, 1, 2, 3, 8}}, {"5,7", []int{5, 7}},
	} {
		got, err := ParseList(c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.text, got, err, c.want)
		}
		if again, err := ParseList(FormatList(got)); err != nil || !slices.Equal(again, c.want) {
			t.Errorf("%v is written as %q", c.want, FormatList(got))
		}
	}
	for _, text := range []string{"a", "3-1", "-1", "0-", "1,,2", "0-99999999", "0x1"} {
		if got, err := ParseList(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// machine writes files below a directory of its own.
func machine(t *testing.T, files map[string]string) System {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return System{Root: root}
}

// TestForQueue finds the queues' interrupts by the names that drivers give them.
func TestForQueue(t *testing.T) {
	for _, c := range []struct {
		driver string
		names  []string
		want   []int // the place in names of the interrupts of queues 0, 1, …
	}{
		{"ixgbe", []string{"eth0-TxRx-0", "eth0-TxRx-1", "eth0"}, []int{0, 1}},
		{"i40e", []string{"i40e-0000:01:00.0:misc", "i40e-eth0-TxRx-0", "i40e-eth0-TxRx-1"}, []int{1, 2}},
		{"mlx5", []string{"mlx5_async0@pci:0000:01:00.0", "mlx5_comp0@pci:0000:01:00.0", "mlx5_comp1@pci:0000:01:00.0"}, []int{1, 2}},
		{"virtio", []string{"virtio1-config", "virtio1-input.0", "virtio1-output.0", "virtio1-input.1", "virtio1-output.1"}, []int{1, 3}},
		{"ena", []string{"ena-mgmnt@pci:0000:00:05.0", "eth0-Tx-Rx-0", "eth0-Tx-Rx-1"}, []int{1, 2}},
		{"igb", []string{"eth0", "eth0-rx-0", "eth0-rx-1", "eth0-tx-0", "eth0-tx-1"}, []int{1, 2}},
	} {
		t.Run(c.driver, func(t *testing.T) {
			files := map[string]string{}
			table := "           CPU0       CPU1"
			for i, name := range c.names {
				n := strconv.Itoa(30 + i)
				files["sys/class/net/eth0/device/msi_irqs/"+n] = "msix"
				table += "\n " + n + ":    1234   0  PCI-MSIX-0000:01:00.0   " + strconv.Itoa(i) + "-edge      " + name
			}
			files["proc/interrupts"] = table + "\nNMI:          0          0   Non-maskable interrupts"
			all, err := machine(t, files).Interrupts("eth0")
			if err != nil || len(all) != len(c.names) {
				t.Fatalf("%v, %v", all, err)
			}
			for q, want := range c.want {
				if got, ok := ForQueue(all, q); !ok || got.Name != c.names[want] {
					t.Errorf("queue %d: %v, %v; want %s", q, got, ok, c.names[want])
				}
			}
			if got, ok := ForQueue(all, 7); ok {
				t.Errorf("queue 7, which is not there: %v", got)
			}
		})
	}
}

// TestVirtioDevice has a device whose interrupts are those of its parent.
func TestVirtioDevice(t *testing.T) {
	s := machine(t, map[string]string{
		"sys/devices/pci/msi_irqs/40": "msix", "sys/devices/pci/virtio2/vendor": "0x1af4", "sys/class/net/eth0/mtu": "1500",
		"proc/interrupts": "  CPU0\n 40: 7 PCI-MSIX-0000:00:03.0 1-edge virtio2-input.0",
	})
	if err := os.Symlink("../../../devices/pci/virtio2", filepath.Join(s.Root, "sys/class/net/eth0/device")); err != nil {
		t.Fatal(err)
	}
	all, err := s.Interrupts("eth0")
	if i, ok := ForQueue(all, 0); err != nil || !ok || i.Number != 40 {
		t.Errorf("%v, %v; want interrupt 40", all, err)
	}
}

func TestVirtualDevice(t *testing.T) {
	s := machine(t, map[string]string{"sys/class/net/veth0/mtu": "1500"})
	if all, err := s.Interrupts("veth0"); all != nil || err != nil {
		t.Errorf("%v, %v; want no interrupts", all, err)
	}
	if n := s.Node("veth0"); n != -1 {
		t.Errorf("on node %d", n)
	}
	if cpus := s.NodeCPUs(-1, []int{0, 3}); !slices.Equal(cpus, []int{0, 3}) {
		t.Errorf("CPUs %v", cpus)
	}
}

func TestAffinity(t *testing.T) {
	s := machine(t, map[string]string{
		"proc/irq/30/smp_affinity_list": "0-3", "proc/irq/30/effective_affinity_list": "2",
		"proc/irq/31/smp_affinity_list": "0-1",
		"proc/irq/32/smp_affinity_list": "0-1", "proc/irq/32/effective_affinity_list": "",
		"sys/class/net/eth0/device/numa_node": "1", "sys/devices/system/node/node1/cpulist": "2-3",
	})
	for _, c := range []struct {
		n                  int
		allowed, effective []int
	}{{30, []int{0, 1, 2, 3}, []int{2}}, {31, []int{0, 1}, []int{0, 1}}, {32, []int{0, 1}, []int{0, 1}}} {
		allowed, effective, err := s.Affinity(c.n)
		if err != nil || !slices.Equal(allowed, c.allowed) || !slices.Equal(effective, c.effective) {
			t.Errorf("interrupt %d: %v, %v, %v; want %v, %v", c.n, allowed, effective, err, c.allowed, c.effective)
		}
	}
	if _, _, err := s.Affinity(33); err == nil {
		t.Error("an interrupt that is not there has an affinity")
	}
	if err := s.SetAffinity(31, []int{1}); err != nil {
		t.Fatal(err)
	}
	if allowed, _, err := s.Affinity(31); err != nil || !slices.Equal(allowed, []int{1}) {
		t.Errorf("set to 1: %v, %v", allowed, err)
	}
	if s.Node("eth0") != 1 {
		t.Errorf("node %d, want 1", s.Node("eth0"))
	}
	for _, c := range []struct{ usable, want []int }{{[]int{0, 2, 3}, []int{2, 3}}, {[]int{0, 1}, []int{0, 1}}} {
		if got := s.NodeCPUs(1, c.usable); !slices.Equal(got, c.want) {
			t.Errorf("of CPUs %v those of node 1 are %v, want %v", c.usable, got, c.want)
		}
	}
}

// TestPlace places shards on a machine of two nodes with four cores of two threads each: CPU n and n+8 are one core.
func TestPlace(t *testing.T) {
	files := map[string]string{}
	for cpu := range 16 {
		dir := "sys/devices/system/cpu/cpu" + strconv.Itoa(cpu)
		core, node := cpu%8, cpu%8/4
		for i, list := range []string{
			FormatList([]int{core, core + 8}), FormatList([]int{core, core + 8}), FormatList([]int{core, core + 8}),
			[]string{"0-3,8-11", "4-7,12-15"}[node],
		} {
			files[dir+"/cache/index"+strconv.Itoa(i)+"/shared_cpu_list"] = list
		}
		files[dir+"/node"+strconv.Itoa(node)+"/cpulist"] = ""
	}
	files["sys/devices/system/node/node0/cpulist"] = "0-3,8-11"
	files["sys/devices/system/node/node1/cpulist"] = "4-7,12-15"
	s := machine(t, files)
	all, err := ParseList("0-15")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name               string
		interrupts, usable []int
		want               []int
	}{
		{"beside each interrupt", []int{0, 1, 5}, all, []int{8, 9, 13}},
		{"the sibling has an interrupt itself", []int{0, 8}, all, []int{1, 2}},
		{"one interrupt for both", []int{0, 0}, all, []int{8, 1}},
		{"one is not known", []int{-1, 4}, all, []int{-1, 12}},
		{"none is known", []int{-1, -1}, all, nil},
		{"too few CPUs", []int{0, 1}, []int{0, 1, 8, 9}, nil},
		{"one to spare", []int{0, 1}, []int{0, 1, 8, 9, 15}, []int{8, 9}},
		{"the near ones are not usable", []int{0}, []int{0, 4, 5}, []int{-1}},
		{"no queues", nil, all, nil},
	} {
		if got := s.Place(c.interrupts, c.usable); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
