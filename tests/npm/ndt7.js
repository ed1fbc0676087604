// Runs M-Lab's own client (@m-lab/ndt7) against HOST:PORT: node ndt7.js HOST:PORT [QUERY]. Prints one JSON object.
//
// The client wants a browser's Worker and WebSocket: here a thread of Node's and the package ws. What it runs is the package's own files.
'use strict';
const fs = require('fs');
const vm = require('vm');
const {Worker: Thread, isMainThread, parentPort, workerData} = require('worker_threads');

class ThreadWorker {
  constructor(file) {
    this.thread = new Thread(__filename, {workerData: file});
    this.thread.on('message', (data) => this.onmessage({data}));
    this.thread.on('error', (error) => this.onmessage({data: {MsgType: 'error', Error: String(error)}}));
  }
  postMessage(message) {
    this.thread.postMessage(message);
  }
  terminate() {
    this.thread.terminate();
  }
}

function thread() {
  global.self = global;
  global.WebSocket = require('ws');
  global.postMessage = (message) => parentPort.postMessage(message);
  vm.runInThisContext(fs.readFileSync(workerData, 'utf8'), {filename: workerData});
  parentPort.on('message', (data) => global.self.onmessage({data}));
}

async function main(server, query) {
  global.Worker = ThreadWorker;
  const ndt7 = require('@m-lab/ndt7');
  const result = {errors: [], download: {measurements: []}, upload: {measurements: []}};
  const callbacks = {error: (error) => result.errors.push(String(error))};
  for (const test of ['download', 'upload']) {
    callbacks[test + 'Measurement'] = (one) => {
      if (one.Source === 'server') result[test].measurements.push(one.Data);
    };
    callbacks[test + 'Complete'] = (one) => {
      result[test].client = one.LastClientMeasurement;
      result[test].server = one.LastServerMeasurement;
    };
  }
  const config = {
    server,
    mlabDataPolicyInapplicable: true,
    metadata: Object.fromEntries(new URLSearchParams(query)),
    downloadworkerfile: require.resolve('@m-lab/ndt7/src/ndt7-download-worker.js'),
    uploadworkerfile: require.resolve('@m-lab/ndt7/src/ndt7-upload-worker.js'),
  };
  const urls = ndt7.discoverServerURLs(config, callbacks);
  result.download.code = await ndt7.downloadTest(config, callbacks, urls);
  result.upload.code = await ndt7.uploadTest(config, callbacks, urls);
  console.log(JSON.stringify(result));
}

if (isMainThread) {
  main(process.argv[2], process.argv[3] || '');
} else {
  thread();
}
