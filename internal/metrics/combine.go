package metrics

import "reflect"

// Sub returns a - b, counter by counter: what was counted after snapshot b was taken and until a was. Gauges and fields that are
// no metrics are a's. Neither argument is changed, nor shared by the result where it holds metrics.
func Sub[T any](a, b T) T {
	return combine(a, b, func(x, y uint64, gauge bool) uint64 {
		if gauge {
			return x
		}
		return x - y
	})
}

// Add returns a + b, counter by counter and gauge by gauge. Fields that are no metrics are a's. Neither argument is changed, nor
// shared by the result where it holds metrics. Of two slices the longer one's length counts.
func Add[T any](a, b T) T {
	return combine(a, b, func(x, y uint64, _ bool) uint64 { return x + y })
}

type operation func(x, y uint64, gauge bool) uint64

func combine[T any](a, b T, op operation) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(reflect.ValueOf(&a).Elem())
	apply(out, reflect.ValueOf(&b).Elem(), false, op)
	return out.Interface().(T)
}

// apply puts op(dst, src) into dst. What dst refers to is copied before it is changed.
func apply(dst, src reflect.Value, gauge bool, op operation) {
	switch dst.Kind() {
	case reflect.Uint64:
		dst.SetUint(op(dst.Uint(), src.Uint(), gauge))
	case reflect.Struct:
		for i := range dst.NumField() {
			if sf := dst.Type().Field(i); sf.IsExported() {
				apply(dst.Field(i), src.Field(i), tagsOf(sf).gauge, op)
			}
		}
	case reflect.Array:
		if counts(dst.Type().Elem()) {
			for i := range dst.Len() {
				apply(dst.Index(i), src.Index(i), gauge, op)
			}
		}
	case reflect.Slice:
		if counts(dst.Type().Elem()) {
			applySlice(dst, src, gauge, op)
		}
	case reflect.Pointer:
		if dst.Type().Elem().Kind() == reflect.Struct {
			applyPointer(dst, src, gauge, op)
		}
	}
}

func applySlice(dst, src reflect.Value, gauge bool, op operation) {
	n := max(dst.Len(), src.Len())
	if n == 0 {
		return
	}
	out := reflect.MakeSlice(dst.Type(), n, n)
	reflect.Copy(out, dst)
	zero := reflect.Zero(dst.Type().Elem())
	for i := range n {
		other := zero
		if i < src.Len() {
			other = src.Index(i)
		}
		apply(out.Index(i), other, gauge, op)
	}
	dst.Set(out)
}

func applyPointer(dst, src reflect.Value, gauge bool, op operation) {
	if dst.IsNil() && src.IsNil() {
		return
	}
	out := reflect.New(dst.Type().Elem())
	if !dst.IsNil() {
		out.Elem().Set(dst.Elem())
	}
	other := reflect.Zero(dst.Type().Elem())
	if !src.IsNil() {
		other = src.Elem()
	}
	apply(out.Elem(), other, gauge, op)
	dst.Set(out)
}
