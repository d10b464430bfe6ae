// What a program with the JavaScript client does: prints one JSON object of what came of it.
import { readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import taskcluster from 'taskcluster-client';

const { rootUrl, credentials, task, hook, hookRole } = JSON.parse(readFileSync(0));
const options = { rootUrl, credentials, retries: 0 };
const found = {};

const refused = async promise => {
  try {
    await promise;
  } catch (error) {
    return { code: error.code, statusCode: error.statusCode, names: error.message.includes('secrets:get:x') };
  }
  throw new Error('this should have been refused');
};
const buffer = () => {
  const chunks = [];
  const stream = new Writable({ write(chunk, _, done) { chunks.push(chunk); done(); } });
  return { stream, text: () => Buffer.concat(chunks).toString() };
};

const auth = new taskcluster.Auth(options);
await auth.createRole('javascript', { description: '', scopes: ['some:scope/*'] });
found.expanded = (await auth.expandScopes({ scopes: ['assume:javascript'] })).scopes;
found.roleIds = [];
let token;
do {
  const page = await auth.listRoleIds(token ? { continuationToken: token, limit: 1 } : { limit: 1 });
  found.roleIds.push(...page.roleIds);
  token = page.continuationToken;
} while (token);

const temporary = taskcluster.createTemporaryCredentials({
  clientId: 'people/js', start: new Date(Date.now() - 60000), expiry: taskcluster.fromNow('1 hour'), scopes: ['some:scope/*'],
  credentials,
});
const limited = new taskcluster.Auth({ ...options, credentials: temporary });
found.temporary = (await limited.currentScopes()).scopes;
const narrow = new taskcluster.Auth({ ...options, credentials: temporary, authorizedScopes: ['some:scope/a'] });
found.authorized = (await narrow.currentScopes()).scopes;
found.refused = await refused(new taskcluster.Secrets({ ...options, credentials: temporary }).get('x'));

const secrets = new taskcluster.Secrets(options);
await secrets.set('a/b c', { secret: { word: 'hello' }, expires: taskcluster.fromNow('1 hour') });
found.secret = (await secrets.get('a/b c')).secret;
const link = secrets.buildSignedUrl(secrets.get, 'a/b c', { expiration: 60 });
found.bySignedUrl = (await (await fetch(link)).json()).secret;

const queue = new taskcluster.Queue(options);
const taskId = taskcluster.slugid();
found.created = (await queue.createTask(taskId, task)).status.state;
const [claim] = (await queue.claimWork(task.taskQueueId, { workerGroup: 'g', workerId: 'js', tasks: 1 })).tasks;
const run = { ...options, credentials: claim.credentials };
const worker = new taskcluster.Queue(run);
const expires = taskcluster.fromNow('1 hour');
const data = 'x'.repeat(20000);
for (const [name, text] of [['public/large.txt', data], ['public/small.txt', 'small']]) {
  const made = await worker.createArtifact(taskId, 0, name, { storageType: 'object', contentType: 'text/plain', expires });
  await taskcluster.upload({
    projectId: made.projectId, name: made.name, contentType: 'text/plain', contentLength: text.length, uploadId: made.uploadId,
    expires, object: new taskcluster.Object({ ...options, credentials: made.credentials }),
    streamFactory: async () => Readable.from([Buffer.from(text)]), retries: 0,
  });
  await worker.finishArtifact(taskId, 0, name, { uploadId: made.uploadId });
}
const put = await worker.createArtifact(taskId, 0, 'public/s3.txt', { storageType: 's3', contentType: 'text/plain', expires });
found.put = (await fetch(put.putUrl, { method: 'PUT', body: 'by put', headers: { 'content-type': 'text/plain' } })).status;
await worker.createArtifact(taskId, 0, 'public/link', { storageType: 'link', artifact: 'public/s3.txt', contentType: 'text/plain', expires });
await worker.reclaimTask(taskId, 0);
found.completed = (await worker.reportCompleted(taskId, 0)).status.state;
found.downloads = {};
for (const name of ['public/large.txt', 'public/small.txt', 'public/s3.txt', 'public/link']) {
  const into = buffer();
  await taskcluster.downloadArtifact({ taskId, runId: 0, name, queue, streamFactory: async () => into.stream, retries: 0 });
  found.downloads[name] = into.text();
}
found.artifacts = (await queue.listArtifacts(taskId, 0)).artifacts.map(one => one.name);

const index = new taskcluster.Index(options);
await index.insertTask('demo.javascript', { taskId, rank: 1, data: { a: 1 }, expires });
found.indexed = (await index.findTask('demo.javascript')).taskId === taskId;

await auth.createRole(hookRole.roleId, { description: '', scopes: hookRole.scopes });
const hooks = new taskcluster.Hooks(options);
await hooks.createHook('javascript', 'hook', hook);
const fired = await hooks.triggerHook('javascript', 'hook', {});
found.fired = (await queue.status(fired.taskId)).status.state;
found.lastFire = (await hooks.listLastFires('javascript', 'hook')).lastFires[0].firedBy;
found.missing = await refused(queue.task(taskcluster.slugid()));
found.length = data.length;

console.log(JSON.stringify(found));
