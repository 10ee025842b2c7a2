package emulator

import (
	"encoding/base32"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// mockPrefix marks the names of simulated executions.
const mockPrefix = "mock-"

// mockEncoding uses only what a resource name may contain.
var mockEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// mockName is everything about a simulated execution that its name has to carry, so that any process can answer for it.
type mockName struct {
	created time.Time // in milliseconds
	count   int       // tasks
	salt    uint32    // two calls in one millisecond differ by it
}

func newMockName(now time.Time, count int) mockName {
	return mockName{created: now.Truncate(time.Millisecond), count: count, salt: rand.Uint32()}
}

// encode writes the name of an execution of a job: 6 bytes of time, 2 of count, 4 of salt, 4 of checksum.
func (m mockName) encode(jobName string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(m.created.UnixMilli())<<16|uint64(m.count))
	b = binary.BigEndian.AppendUint32(b, m.salt)
	b = binary.BigEndian.AppendUint32(b, mockSum(jobName, b))
	return mockPrefix + mockEncoding.EncodeToString(b)
}

// decodeMockName reads what encode wrote for the same job; ok is false for every other name.
func decodeMockName(jobName, short string) (m mockName, ok bool) {
	text, ok := strings.CutPrefix(short, mockPrefix)
	if !ok {
		return mockName{}, false
	}
	b, err := mockEncoding.DecodeString(text)
	if err != nil || len(b) != 16 || mockSum(jobName, b[:12]) != binary.BigEndian.Uint32(b[12:]) || mockEncoding.EncodeToString(b) != text {
		return mockName{}, false
	}
	head := binary.BigEndian.Uint64(b)
	return mockName{created: time.UnixMilli(int64(head >> 16)), count: int(head & 0xffff), salt: binary.BigEndian.Uint32(b[8:])}, true
}

// mockSum ties a name to its job, so that no name made by others is taken for one of ours by chance.
func mockSum(jobName string, b []byte) uint32 {
	h := fnv.New32a()
	h.Write([]byte(jobName))
	h.Write(b)
	return h.Sum32()
}
