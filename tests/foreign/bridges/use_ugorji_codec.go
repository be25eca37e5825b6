// Go's net/rpc over the codec of github.com/ugorji/go.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/rpc"
	"os"
	"reflect"
	"sync"

	"github.com/ugorji/go/codec"
)

type line struct {
	Number int         `json:"number"`
	Method string      `json:"method,omitempty"`
	Params interface{} `json:"params,omitempty"`
	Error  interface{} `json:"error"`
	Result interface{} `json:"result"`
}

func main() {
	connection, err := net.Dial("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	handle := &codec.MsgpackHandle{WriteExt: true} // with bin and str 8
	handle.MapType = reflect.TypeOf(map[string]interface{}(nil))
	client := rpc.NewClientWithCodec(codec.MsgpackSpecRpc.ClientCodec(connection, handle))
	defer client.Close()

	var running sync.WaitGroup
	var writing sync.Mutex
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var call line
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			panic(err)
		}
		running.Add(1)
		go func() {
			defer running.Done()
			var result interface{}
			outcome := line{Number: call.Number}
			if err := client.Call(call.Method, withBytes(call.Params), &result); err != nil {
				outcome.Error = err.Error()
			} else {
				outcome.Result = plain(result)
			}
			writing.Lock()
			defer writing.Unlock()
			json.NewEncoder(os.Stdout).Encode(outcome)
		}()
	}
	running.Wait()
}

func withBytes(value interface{}) interface{} {
	switch value := value.(type) {
	case map[string]interface{}:
		if text, ok := value["hex"].(string); ok && len(value) == 1 {
			data, _ := hex.DecodeString(text)
			return data
		}
		for key, item := range value {
			value[key] = withBytes(item)
		}
	case []interface{}:
		for number, item := range value {
			value[number] = withBytes(item)
		}
	case float64: // all of JSON's numbers are
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
}

func plain(value interface{}) interface{} {
	switch value := value.(type) {
	case []byte:
		return map[string]interface{}{"hex": hex.EncodeToString(value)}
	case map[string]interface{}:
		for key, item := range value {
			value[key] = plain(item)
		}
	case []interface{}:
		for number, item := range value {
			value[number] = plain(item)
		}
	}
	return value
}
