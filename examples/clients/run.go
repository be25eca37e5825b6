// Run a command as a job, by net/rpc over the codec of github.com/ugorji/go:
// run SOCKET COMMAND [ARGUMENT…]
//
// Its stdin is ours, its output comes as it is written, and its exit code is ours.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/rpc"
	"os"
	"strings"

	"github.com/ugorji/go/codec"
)

type params map[string]interface{}

type piece struct {
	Data  []byte `codec:"data"`
	IsEnd bool   `codec:"is_end"`
}

type status struct {
	Job    string `codec:"job"`
	Result *struct {
		Verdict  string   `codec:"verdict"`
		ExitCode *int     `codec:"exit_code"`
		Evidence []string `codec:"evidence"`
	} `codec:"result"`
	Error *struct {
		Message string `codec:"message"`
	} `codec:"error"`
}

func main() {
	log.SetFlags(0)
	connection, err := net.Dial("unix", os.Args[1])
	check(err)
	handle := &codec.MsgpackHandle{WriteExt: true} // bytes as bin, text as str
	client := rpc.NewClientWithCodec(codec.MsgpackSpecRpc.ClientCodec(connection, handle))
	// net/rpc takes an error for text; a map would end the connection.
	check(client.Call("server.hello", params{"errors": "text"}, nil))

	// For more than 512 KiB, upload a blob, or submit with stdin_open and call job.write.
	stdin, err := io.ReadAll(os.Stdin)
	check(err)
	var job status
	submission := params{"job": params{"command": os.Args[2:]}, "stdin": stdin}
	check(client.Call("job.submit", submission, &job))

	for offset, isEnd := 0, false; !isEnd; {
		var next piece
		place := params{"job": job.Job, "stream": "stdout", "offset": offset, "wait_seconds": 60}
		check(client.Call("job.read", place, &next))
		os.Stdout.Write(next.Data)
		offset += len(next.Data)
		isEnd = next.IsEnd
	}

	check(client.Call("job.wait", params{"job": job.Job, "wait_seconds": 60}, &job))
	if job.Error != nil {
		log.Fatal(job.Error.Message)
	}
	told := append([]string{job.Result.Verdict}, job.Result.Evidence...)
	fmt.Fprintln(os.Stderr, strings.Join(told, "; "))
	if job.Result.ExitCode == nil {
		os.Exit(1)
	}
	os.Exit(*job.Result.ExitCode)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
