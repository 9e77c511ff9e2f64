// Package irq finds the interrupts of a network card's queues, the CPUs that handle them, and the CPUs near those: what /proc/interrupts,
// /proc/irq and sysfs tell.
package irq
