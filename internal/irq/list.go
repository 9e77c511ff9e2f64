package irq

import (
	"fmt"
	"strconv"
	"strings"
)

// maxCPU bounds the numbers of CPUs that are believed.
const maxCPU = 1 << 13 // NR_CPUS of the largest kernels

// ParseList reads a list of CPUs as the kernel writes it: "0-3,8".
func ParseList(s string) ([]int, error) {
	var all []int
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(last)
		}
		if err != nil || a < 0 || b < a || b >= maxCPU {
			return nil, fmt.Errorf("irq: %q is not a list of CPUs", s)
		}
		for ; a <= b; a++ {
			all = append(all, a)
		}
	}
	return all, nil
}

// FormatList writes a list of CPUs as the kernel reads it.
func FormatList(cpus []int) string {
	var b strings.Builder
	for i := 0; i < len(cpus); {
		j := i + 1
		for j < len(cpus) && cpus[j] == cpus[j-1]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(cpus[i]))
		if j > i+1 {
			b.WriteString("-" + strconv.Itoa(cpus[j-1]))
		}
		i = j
	}
	return b.String()
}
