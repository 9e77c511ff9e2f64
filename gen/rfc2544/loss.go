package rfc2544

import (
	"fmt"
	"math"
)

// loss measures the share of frames that are lost at the highest rate and down from it, until two rates in a row lose nothing (section
// 26.3).
func (r *runner) loss() error {
	n := int(math.Floor(1/r.LossStep + 1e-9))
	length := r.Trial + r.Wait + r.Settle
	for i, clean := 0, 0; i < n && clean < 2; i++ {
		share := 1 - float64(i)*r.LossStep
		t := Trial{Rate: share * r.top, Duration: r.Trial}
		e := Event{Step: fmt.Sprintf("%.4g %%", share*100)}
		for range (n - i - 1) / 2 {
			e.Remaining += length
		}
		o, err := r.trial(t, e)
		if err != nil {
			return err
		}
		p := Point{Share: share, Rate: t.Rate, Offered: o.offered(&t), Sent: o.Sent, Received: o.Received, Loss: o.loss()}
		p.Short = r.short(&t, &o)
		r.row.Loss = append(r.row.Loss, p)
		if clean++; p.Loss > 0 {
			clean = 0
		}
	}
	return nil
}
