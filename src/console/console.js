// The page of a stack. Texts of customers and providers reach the document only as text nodes, see `shown`.
'use strict';

const $ = id => document.getElementById(id);
const state = { stack: null, run: null, last: 0, records: [], lastChange: 0, names: new Map(), query: { text: '', provider: '', limit: 50 }, listed: false, open: null, openJson: '', quarantineDepth: null, search: 0 };
let token = '';

const OUTCOMES = {
  applied: 'The event is the newest of its customer, who is now as the event says.',
  duplicate: 'This same event was applied before, so nothing changes.',
  stale: 'The table already has a newer event of this customer, so nothing changes.',
  parked: 'The table cannot be written now. The event waits on the inbox queue until replay writes it.',
  quarantined: 'The delivery is genuine, but an event in it cannot be translated or stored. It waits for you in quarantine.',
  rejected: 'The signature or token is wrong, or the delivery is too large. Nothing of it is kept.',
  ignored: 'The event is not about a customer.',
  unavailable: 'Neither the table nor a queue could take it. The answer 503 makes the provider send it again.',
  unverifiable: 'The secrets cannot be read, so nobody knows yet whether it is genuine. The answer 503 makes the provider send it again.',
  sent: 'A sweep sent cleanup messages that were waiting in tombstones.',
  recorded: 'A system has erased its copies of a deleted customer, and its receipt is in the tombstone.',
  unrecorded: 'The receipt names a customer who is not deleted or an unknown system, or the table cannot be written. It is tried again.',
  failed: 'A sweep could not send cleanup messages. The next one tries again.',
};
const QUEUES = {
  inbox: 'Parked events, until the table can be written.',
  quarantine: 'Deliveries that need an operator.',
  cleanup: 'Announces deleted customers, so that other systems erase their copies.',
  'cleanup-dead-letter': 'Cleanup messages that no consumer could process: see `clientele dead-letters list`.',
  receipts: 'Systems confirm here that they have erased a deleted customer.',
  'receipts-dead-letter': 'Receipts that could not be recorded.',
  'refused-changes': 'Changes that the event bus refused, or that could not be read.',
  'discarded-changes': 'Positions of changes that were given up before they were announced.',
};

// Building the document

/** An element. Strings among the children become text nodes. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, visible(String(value)));
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== ''));
  return element;
}

// Control characters, and characters that show nothing or change the direction of text, except visible Arabic and Kaithi signs.
const INVISIBLE = /(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
const ESCAPES = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const escaped = character => ESCAPES[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`;

/** The text with escapes for characters that cannot be seen. */
function visible(text) {
  return INVISIBLE.test(text) ? [...text].map(character => INVISIBLE.test(character) ? escaped(character) : character).join('') : text;
}

/** The same as an element that isolates the direction of the text and marks the escapes. */
function shown(text) {
  const element = h('bdi');
  let plain = '';
  for (const character of String(text)) {
    if (!INVISIBLE.test(character)) { plain += character; continue; }
    element.append(plain, h('span', { class: 'ctl' }, escaped(character)));
    plain = '';
  }
  element.append(plain);
  return element;
}

/** The same for a name such as `customer.customer_updated`, which may continue on the next line after each sign. */
function breakable(text) {
  return h('span', {}, text.split(/(?<=[._])/).flatMap(part => [shown(part), h('wbr')]));
}

/** Makes the children of a container those of a list. Elements whose data did not change stay, and so does the focus. */
function sync(container, items, key, make) {
  const old = new Map([...container.children].map(child => [child.syncKey, child]));
  let place = container.firstElementChild;
  for (const item of items) {
    const [name, json] = [key(item), JSON.stringify(item)];
    let element = old.get(name);
    old.delete(name);
    if (!element || element.syncJson !== json) {
      const changed = make(item);
      Object.assign(changed, { syncKey: name, syncJson: json });
      if (element) {
        if (element === place) place = element.nextElementSibling;
        const had = element.contains(document.activeElement);
        element.replaceWith(changed);
        if (had) changed.querySelector('button')?.focus();
      }
      element = changed;
    }
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
  }
  for (const element of old.values()) element.remove();
}

// Times

const UNITS = [[31557600, 'year'], [2629800, 'month'], [86400, 'day'], [3600, 'h'], [60, 'min'], [1, 's']];

function duration(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, 's'];
  const number = Math.floor(seconds / size);
  return `${number} ${unit}${size > 3600 && number !== 1 ? 's' : ''}`;
}

function ago(millis) {
  const seconds = Math.round((Date.now() - millis) / 1000);
  if (Math.abs(seconds) < 2) return 'now';
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

const utc = millis => new Date(millis).toISOString().replace('T', ' ').replace('Z', ' UTC');

/** A time of the clock, and how long ago that is. */
function when(iso, clock) {
  const millis = Date.parse(iso);
  if (Number.isNaN(millis)) return [shown(iso ?? '')];
  const text = clock ? new Date(millis).toLocaleTimeString('en-GB') : utc(millis).replace('.000', '');
  return [h('time', { datetime: iso, title: utc(millis) }, text), ' ', h('span', { class: 'ago', 'data-at': millis }, ago(millis))];
}

const relative = iso => h('time', { datetime: iso, title: utc(Date.parse(iso)), 'data-at': Date.parse(iso) }, ago(Date.parse(iso)));

// Talking to the stack

class Problem extends Error {}

/** Numbers keep every digit: they are shown, and nothing is computed with them. */
const exact = (_, value, context) => typeof value === 'number' && context?.source && String(value) !== context.source ? { digits: context.source } : value;

async function call(method, path, body) {
  let response, text;
  try {
    const headers = token ? { 'x-clientele-token': token } : {};
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    text = await response.text();
  } catch {
    connection(false);
    throw new Problem('The stack does not answer. This page tries again by itself.');
  }
  let answer;
  try { answer = JSON.parse(text, exact); } catch { answer = {}; }
  if (!response.ok) throw new Problem(answer.error ?? `The stack answered with status ${response.status}.`);
  return answer;
}

function connection(isOn) {
  const chip = $('connection'), text = isOn ? 'Connected' : 'Not connected. Trying again…';
  chip.classList.toggle('on', isOn);
  chip.classList.toggle('off', !isOn);
  if (chip.lastElementChild.textContent !== text) chip.lastElementChild.textContent = text;
}

let noticeTimer;
function notice(text, isBad) {
  const box = $('notice');
  box.hidden = false;
  box.classList.toggle('bad', Boolean(isBad));
  box.firstElementChild.replaceChildren(shown(text));
  clearTimeout(noticeTimer);
  if (!isBad) noticeTimer = setTimeout(() => { box.hidden = true; }, 12000);
}

/** Does what a button asks for. The button is disabled meanwhile, and an error is shown. */
async function act(button, action) {
  button?.setAttribute('aria-busy', 'true');
  try { await action(); } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    notice(error instanceof Problem ? error.message : 'The page failed. Reload it.', true);
  } finally { button?.removeAttribute('aria-busy'); }
}

/** Loads in the background: an error is shown where the data would be. */
async function load(container, loader) {
  try { await loader(); } catch (error) {
    if (!(error instanceof Problem)) { console.error(error); return; }
    if (!container.firstElementChild || container.firstElementChild.classList.contains('empty')) container.replaceChildren(empty(error.message, container.tagName === 'UL'));
  }
}

const empty = (text, isItem) => h(isItem ? 'li' : 'p', { class: 'empty' }, text);

function confirmed(title, text, yes) {
  const dialog = $('confirm');
  $('confirm-title').replaceChildren(title);
  $('confirm-text').replaceChildren(text);
  $('confirm-yes').replaceChildren(yes);
  return new Promise(resolve => {
    $('confirm-yes').onclick = () => dialog.close('yes');
    $('confirm-no').onclick = () => dialog.close('no');
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
    dialog.returnValue = 'no';
    dialog.showModal();
  });
}

// Words that several parts use

/** The outcomes in a text such as `applied` or `23 applied, 2 stale`. */
const words = outcome => Object.keys(OUTCOMES).filter(word => new RegExp(`\\b${word}\\b`).test(outcome));

function badge(outcome) {
  const all = words(outcome);
  const worst = all.find(word => !['applied', 'sent', 'recorded'].includes(word)) ?? all[0] ?? '';
  return h('span', { class: `badge ${worst}`, title: all.map(word => `${word}: ${OUTCOMES[word]}`).join(' ') }, visible(outcome || 'unknown'));
}

function service(name) {
  const place = (state.stack?.providers ?? []).indexOf(name);
  return h('span', { class: 'service' }, h('i', { class: place < 0 ? 'dot' : `dot p${place % 5}` }), shown(name));
}

/** The customer's id in a key, without its percent-encoding. */
function idOf(pk) {
  const id = pk.split('#').at(-1);
  try { return decodeURIComponent(id); } catch { return id; }
}

const address = pk => `#customer=${encodeURIComponent(pk)}`;
const customerLink = pk => h('a', { href: address(pk), title: pk }, shown(state.names.get(pk) || idOf(pk)));

// Deliveries

function deliveryRow(record) {
  const [first, ...others] = record.customers;
  const reason = record.reason ?? record.warning;
  const toggle = h('button', { class: 'plain', 'aria-expanded': 'false', title: 'Details' }, ...when(record.at, true));
  const via = record.provider && record.function !== record.provider ? [h('span', { class: 'ago' }, ` by ${record.function}`)] : [];
  const row = h('tr', { class: 'row', 'data-test': 'delivery-row', 'data-provider': record.provider || record.function, 'data-outcome': record.outcome },
    h('td', {}, toggle),
    h('td', {}, service(record.provider || record.function), ...via),
    h('td', { class: 'wide' }, record.event_type ? breakable(record.event_type) : '', reason ? h('p', { class: 'hint' }, shown(reason)) : ''),
    h('td', {}, badge(record.outcome)),
    h('td', {}, first ? customerLink(first) : '', others.length ? ` and ${others.length} more` : ''),
    h('td', { class: 'number' }, `${record.duration_ms.toFixed(1)} ms`));
  row.addEventListener('click', event => { if (!event.target.closest('a') && !getSelection().toString()) expand(row, toggle, record); });
  return row;
}

function expand(row, toggle, record) {
  const isOpen = toggle.getAttribute('aria-expanded') === 'true';
  toggle.setAttribute('aria-expanded', String(!isOpen));
  if (isOpen) { row.nextElementSibling.remove(); return; }
  const meaning = words(record.outcome).map(word => h('dd', {}, `${word}: ${OUTCOMES[word]}`));
  const list = (term, ...values) => values.length ? [h('dt', {}, term), h('dd', {}, ...values)] : [];
  row.after(h('tr', { class: 'detail' }, h('td', { colspan: 6 }, h('dl', { class: 'facts' },
    list('Arrived', ...when(record.at)),
    list('Function', shown(record.function)),
    list('Response', record.status ? `status ${record.status}` : 'none: no webhook called this function'),
    meaning.length ? [h('dt', {}, 'Outcome'), h('dd', {}, h('dl', {}, meaning))] : [],
    list('Events', `${record.events}`),
    record.reason ? list('Reason', shown(record.reason)) : [],
    record.warning ? list('Warning', shown(record.warning)) : [],
    record.customers.length ? list('Customers', ...record.customers.flatMap(pk => [h('a', { href: address(pk) }, shown(pk)), h('br')])) : []))));
}

/** The rows of a table, which is made if the container has none. */
function bodyOf(container, title, heads) {
  if (!container.querySelector('tbody')) {
    container.replaceChildren(h('table', { 'aria-labelledby': title },
      h('thead', {}, h('tr', {}, heads.map(head => h('th', { scope: 'col', class: head === 'Took' ? 'number' : null }, head)))), h('tbody')));
  }
  return container.querySelector('tbody');
}

function deliveries(added) {
  const container = $('deliveries');
  if (!state.records.length) {
    container.replaceChildren(empty('No delivery yet. Choose an event above and press “Send”, or send a webhook to this stack.'));
    $('deliveries-count').textContent = '';
    return;
  }
  const body = bodyOf(container, 'deliveries-title', ['Time', 'Service', 'Event', 'Outcome', 'Customer', 'Took']);
  for (const record of added) {
    const row = deliveryRow(record);
    if (added.length < 20) row.classList.add('new');
    body.prepend(row);
  }
  const rows = body.querySelectorAll('tr.row');
  for (const row of [...rows].slice(300)) {
    if (row.nextElementSibling?.classList.contains('detail')) row.nextElementSibling.remove();
    row.remove();
  }
  $('deliveries-count').textContent = `${state.last} since the stack started${state.last > rows.length ? `, the last ${rows.length} are shown` : ''}`;
}

/** Takes records in groups, so that a thousand a second do not freeze the page. */
function grouped(take) {
  let waiting = [];
  return record => {
    waiting.push(record);
    if (waiting.length > 1) return;
    setTimeout(() => {
      const added = waiting;
      waiting = [];
      take(added);
    }, 60);
  };
}

const arrived = grouped(added => {
  state.records = [...added.toReversed(), ...state.records].slice(0, 500);
  deliveries(added.slice(-300));
  const { provider, event_type: type, outcome } = added.at(-1);
  $('announcer').replaceChildren(h('p', {}, visible(added.length > 1 ? `${added.length} deliveries arrived.` : `${provider} ${type ?? ''} ${outcome}`)));
  refresh();
});

// Changes

/** Any program may put events on the bus, so a part of it may be missing. */
function changeRow(event) {
  const { subject, time, data } = event.detail, kind = event['detail-type'].split('.').at(-1);
  const pk = typeof subject === 'string' ? subject : '', changed = Array.isArray(data?.changed) ? data.changed : [];
  const row = h('tr', { class: 'row', 'data-test': 'change-row', 'data-type': kind, 'data-pk': pk },
    h('td', {}, ...when(time ?? event.time, true)),
    h('td', {}, service(data?.provider ?? '')),
    h('td', {}, h('span', { class: `badge ${kind}` }, visible(kind))),
    h('td', {}, pk ? customerLink(pk) : ''),
    h('td', { class: 'wide' }, changed.length ? breakable(changed.join(', ')) : ''));
  row.addEventListener('click', event => { if (pk && !event.target.closest('a') && !getSelection().toString()) show(pk); });
  return row;
}

function changes(added) {
  const container = $('changes');
  $('changes-count').textContent = state.lastChange ? `${state.lastChange} since the stack started` : '';
  if (!state.lastChange) { container.replaceChildren(empty('No change yet. A delivery that changes a customer is announced here a moment later.')); return; }
  const body = bodyOf(container, 'changes-title', ['Time', 'Service', 'Change', 'Customer', 'Changed fields']);
  for (const event of added) {
    const row = changeRow(event);
    if (added.length < 20) row.classList.add('new');
    body.prepend(row);
  }
  for (const row of [...body.children].slice(200)) row.remove();
}

const announced = grouped(changes);

/** Follows a stream of the stack. The first event says which run of the stack it is. */
function follow(path, restarted, received, connected) {
  const source = new EventSource(path);
  source.addEventListener('open', () => connected(true));
  source.addEventListener('run', event => restarted(event.data));
  source.addEventListener('message', received);
  source.addEventListener('error', () => {
    connected(false);
    source.close();
    setTimeout(() => follow(path, restarted, received, connected), 1000);
  });
}

function listen() {
  follow('deliveries/stream', run => {
    const isFirst = state.run === null;
    if (state.run === run) { refresh(); return; }
    Object.assign(state, { run, last: 0, records: [] });
    deliveries([]);
    if (isFirst) return;
    notice('The stack was started again.');
    start().catch(() => {});
  }, event => {
    const record = JSON.parse(event.data);
    if (record.number <= state.last) return;
    state.last = record.number;
    arrived(record);
  }, connection);
  let changesRun = null;
  follow('changes/stream', run => {
    if (changesRun === run) return;
    changesRun = run;
    state.lastChange = 0;
    changes([]);
  }, event => {
    const number = Number(event.lastEventId);
    if (number <= state.lastChange) return;
    state.lastChange = number;
    announced(JSON.parse(event.data));
  }, () => {});
}

// Customers

function customerRow(item) {
  const name = item.status === 'deleted' ? 'deleted customer' : item.name || item.customer_id;
  const open = () => show(item.pk);
  const row = h('tr', { class: 'row', 'data-test': 'customer-row', 'data-pk': item.pk },
    h('td', {}, h('button', { class: 'plain link', title: item.pk, on: { click: event => { event.stopPropagation(); open(); } } }, shown(name))),
    h('td', {}, service(item.provider)),
    h('td', {}, shown(item.email ?? '')),
    h('td', {}, shown(item.external_id ?? '')),
    h('td', {}, status(item)),
    h('td', {}, relative(item.updated_at ?? item.deleted_at)));
  row.addEventListener('click', () => { if (!getSelection().toString()) open(); });
  return row;
}

const status = item => h('span', { class: `badge ${item.status}` }, visible(item.status ?? 'unknown'));

async function find() {
  const { text, provider, limit } = state.query;
  const query = more => call('GET', `customers?${new URLSearchParams({ limit, ...(provider && { provider }), ...more })}`);
  if (!text) return query({});
  const searches = [query({ external_id: text }), query(text.includes('@') ? { email: text } : { name: text })];
  const found = await Promise.all(searches);
  const items = new Map(found.flatMap(({ items }) => items).map(item => [item.pk, item]));
  const total = Math.max(items.size, ...found.map(({ total }) => total));
  const read = found.map(({ read }) => read).find(Boolean);
  return { items: [...items.values()], total, read, is_complete: found.every(found => found.is_complete) };
}

async function customers() {
  const number = ++state.search;
  const found = await find();
  if (number !== state.search) return;
  state.listed = true;
  for (const item of found.items) state.names.set(item.pk, item.name);
  const { text, provider } = state.query;
  const container = $('customer-rows');
  const many = count => `${count.toLocaleString('en')} customer${count === 1 ? '' : 's'}`;
  const rest = found.is_complete ? '' : ` among the ${found.read.toLocaleString('en')} that were read; the table has more`;
  $('customers-count').textContent = found.items.length < found.total ? `${found.items.length} of ${many(found.total)}, the newest change first${rest}` : many(found.total) + rest;
  $('more').hidden = found.items.length >= found.total || state.query.limit >= 1000;
  if (!found.items.length) {
    const where = provider ? ` of ${provider}` : '';
    const advice = text ? `No customer${where} has this e-mail address or external id, or this text in its name.`
      : provider ? `There is no customer${where} yet.` : 'There is no customer yet. Send an event such as plain/customer-created: its customer appears here.';
    container.replaceChildren(empty(advice));
    return;
  }
  const body = bodyOf(container, 'customers-title', ['Name', 'Service', 'E-mail', 'External id', 'Status', 'Changed']);
  sync(body, found.items, item => item.pk, customerRow);
}

// One customer

function show(pk) {
  if (location.hash === address(pk)) detail(pk, true); else location.hash = address(pk);
}

function route() {
  const match = /^#customer=(.*)$/.exec(location.hash);
  let pk;
  try { pk = match && decodeURIComponent(match[1]); } catch { pk = null; }
  if (pk) detail(pk, true); else if (!match && location.hash !== '#customers') close();
}

function close() {
  const pk = state.open;
  $('customer').hidden = true;
  state.open = null;
  if (!pk) return;
  if (location.hash.startsWith('#customer=')) history.replaceState(null, '', location.pathname);
  const row = [...document.querySelectorAll('[data-test="customer-row"]')].find(row => row.dataset.pk === pk);
  row?.querySelector('button').focus();
}

function detail(pk, isNew) {
  state.open = pk;
  return act(null, async () => {
    let answer;
    try { answer = await call('GET', `customers/${encodeURIComponent(pk)}`); } catch (error) {
      if (!isNew) return;
      if (state.open === pk) close();
      throw error;
    }
    if (state.open !== pk) return;
    const json = JSON.stringify(answer) + about(pk).map(record => record.number);
    if (isNew || json !== state.openJson) draw(answer);
    state.openJson = json;
    if (isNew) {
      $('customer').scrollIntoView({ block: 'nearest' });
      $('customer-name').focus({ preventScroll: innerWidth > 1180 });
    }
  });
}

const about = pk => state.records.filter(record => record.customers.includes(pk)).slice(0, 10);

function erasureItem({ system, erased_at: erased, received_at: received }) {
  const times = erased ? [' erased ', ...when(erased), ', confirmed ', ...when(received)] : ' has not confirmed yet';
  return h('li', { 'data-test': 'erasure-row', 'data-system': system }, h('span', { class: `badge ${erased ? 'applied' : 'stale'}` }, erased ? 'confirmed' : 'open'), ' ', shown(system), times);
}

function draw({ item, why, erasure, same_person: others }) {
  $('customer').hidden = false;
  state.names.set(item.pk, item.name);
  $('customer-name').replaceChildren(shown(item.status === 'deleted' ? 'Deleted customer' : item.name || item.customer_id));
  $('customer-tags').replaceChildren(service(item.provider), status(item), h('span', { class: 'mono' }, shown(item.pk)));
  const { profile = {}, extra = {}, ...attributes } = item;
  const reason = same => same.map(name => name === 'email' ? 'e-mail' : 'external id').join(' and ');
  const other = it => h('li', {}, h('a', { href: address(it.pk) }, shown(it.name || it.customer_id)), ' in ', service(it.provider), ' ', status(it), h('span', { class: 'ago' }, ` same ${reason(it.same)}`));
  const records = about(item.pk);
  const section = (title, ...content) => [h('h3', {}, title), ...content];
  $('customer-body').replaceChildren(
    ...section('Why it is in this state', h('ul', { class: 'why', 'data-test': 'why' }, why.map(sentence => h('li', {}, shown(sentence))))),
    ...(erasure.length ? section('Erasure in other systems', h('ul', { class: 'list' }, erasure.map(erasureItem))) : []),
    ...section('The same person in other services', others.length ? h('ul', { class: 'list' }, others.map(other)) : h('p', { class: 'hint' }, 'No other item has this external id or e-mail address.')),
    ...(records.length ? section('Deliveries about it since the stack started', h('ul', { class: 'list' }, records.map(it => h('li', {}, ...when(it.at, true), ' ', badge(it.outcome), ' ', breakable(it.event_type ?? ''))))) : []),
    ...section('Profile', facts(profile, 'The event had no field of the common model.')),
    ...section('Extra', facts(extra, 'Every field of the event has a place in the common model.')),
    h('details', {}, h('summary', {}, 'All other attributes'), facts(attributes)),
    h('details', {}, h('summary', {}, 'The item as JSON'), pre(item)));
}

/** JSON as text. Escapes for invisible characters are those of JSON. */
function pre(value) {
  const lines = JSON.stringify(value, (_, value) => value, 2).replace(/\{\s*"digits": "([^"]*)"\s*\}/g, '$1').split('\n');
  return h('pre', { tabindex: '0' }, lines.flatMap(line => [shown(line), '\n']));
}

/** All values with their paths, as `clientele customers get` prints them. */
function leaves(path, value) {
  if (value === null || typeof value !== 'object' || ('digits' in value && Object.keys(value).length === 1)) return [[path, value?.digits ?? (value === '' ? '(empty)' : value)]];
  return Object.entries(value).flatMap(([name, value]) => leaves(path ? `${path}.${name}` : name, value));
}

function facts(value, otherwise) {
  const entries = leaves('', value);
  if (!entries.length) return h('p', { class: 'hint' }, otherwise);
  return h('dl', { class: 'facts' }, entries.flatMap(([path, value]) => [h('dt', {}, shown(path)), h('dd', {}, shown(value))]));
}

// Doctor

const checkup = (part, name) => h('strong', {}, shown(part), name ? [': ', breakable(name)] : '');

async function doctor() {
  const { is_healthy: isHealthy, findings, rows } = await call('GET', 'doctor');
  const verdict = isHealthy ? 'healthy' : `${findings.length} to do`;
  sync($('doctor'), [{ verdict }, ...findings], finding => finding.verdict ? '' : JSON.stringify(finding), finding => finding.verdict
    ? h('p', {}, h('span', { class: `badge ${isHealthy ? 'applied' : 'failed'}`, 'data-test': 'doctor-verdict' }, verdict))
    : h('div', { class: 'finding', 'data-test': 'doctor-finding', 'data-part': finding.part }, checkup(finding.part, finding.name), h('p', {}, shown(finding.problem)), h('p', { class: 'hint' }, shown(finding.advice))));
  const parts = [...new Set(rows.map(row => row.part))];
  $('doctor-rows').replaceChildren(...parts.flatMap(part => [h('h3', {}, shown(part)), h('dl', { class: 'facts' },
    rows.filter(row => row.part === part).flatMap(({ name, text, state }) => [h('dt', {}, breakable(name || part)), h('dd', { class: state === 'problem' ? 'bad' : null }, shown(text))]))]));
  $('doctor-rows').parentElement.hidden = false;
}

// Queues and quarantine

function queueItem(queue) {
  const total = queue.visible + queue.in_flight + queue.delayed;
  const parts = [queue.in_flight && `${queue.in_flight} in flight`, queue.delayed && `${queue.delayed} delayed`, queue.oldest_seconds != null && total && `the oldest for ${duration(number(queue.oldest_seconds))}`].filter(Boolean);
  return h('li', { class: 'queue', 'data-test': 'queue-row', 'data-queue': queue.name, 'data-count': total },
    h('strong', {}, shown(queue.name)), h('span', { class: total ? 'count' : 'count zero', title: `${total} messages` }, `${total}`),
    h('p', { class: 'hint' }, commands([QUEUES[queue.name], parts.join(', ')].filter(Boolean).join(' '))));
}

/** A text of this page, with what is in backticks set as code. */
const commands = text => text.split('`').map((part, place) => place % 2 ? h('code', {}, part) : part);

async function queues() {
  const found = await call('GET', 'queues');
  connection(true);
  const places = Object.keys(QUEUES);
  const place = queue => places.includes(queue.name) ? places.indexOf(queue.name) : places.length;
  const container = $('queues');
  if (container.querySelector('.empty')) container.replaceChildren();
  sync(container, found.sort((one, other) => place(one) - place(other)), queue => queue.name, queueItem);
  const held = found.find(queue => queue.name === 'quarantine');
  const depth = held ? held.visible + held.in_flight + held.delayed : 0;
  if (depth !== state.quarantineDepth) {
    state.quarantineDepth = depth;
    await load($('quarantine'), quarantine);
  }
}

function heldItem(held) {
  const detail = h('div', { hidden: true });
  const details = h('button', { class: 'small', 'aria-expanded': 'false', on: { click: event => act(event.currentTarget, () => toggleHeld(held, details, detail)) } }, 'Details');
  return h('li', { class: 'held', 'data-test': 'quarantine-row', 'data-id': held.id },
    h('div', {}, service(held.provider), held.received_at ? h('span', { class: 'hint' }, 'arrived ', relative(held.received_at)) : '', held.events == null ? '' : h('span', { class: 'hint' }, `${held.events} event${held.events === 1 ? '' : 's'}`)),
    h('div', {}, shown(held.reason)),
    h('div', {}, h('button', { class: 'small', 'data-test': 'quarantine-redrive', on: { click: event => act(event.currentTarget, () => redrive(held)) } }, 'Redrive'), details),
    detail);
}

async function toggleHeld(held, button, detail) {
  const isOpen = button.getAttribute('aria-expanded') === 'true';
  if (!isOpen) {
    const { message, problem } = await call('GET', `quarantine/${encodeURIComponent(held.id)}`);
    detail.replaceChildren(...(problem ? [h('p', {}, shown(problem))] : []), h('p', { class: 'hint' }, 'This may contain personal data.'), pre(message));
  }
  detail.hidden = isOpen;
  button.setAttribute('aria-expanded', String(!isOpen));
}

async function quarantine() {
  const found = await call('GET', 'quarantine');
  const container = $('quarantine');
  if (!found.length) { container.replaceChildren(empty('Nothing is in quarantine. To see how it looks, send plain/partial-snapshot.', true)); return; }
  if (container.querySelector('.empty')) container.replaceChildren();
  // How often a message was received changes whenever it is shown.
  sync(container, found.map(({ receives, ...held }) => held), held => held.id, heldItem);
}

async function redrive(held) {
  const text = 'Its events are written now, each with the same condition as a delivery: newer data is never overwritten, and a deleted customer stays deleted. If an event still cannot be written, the message stays in quarantine.';
  if (!await confirmed(`Redrive this delivery of ${visible(held.provider)}?`, text, 'Redrive')) return;
  const answer = await call('POST', `quarantine/${encodeURIComponent(held.id)}/redrive`);
  // Each line has an outcome and its reason or the customer.
  const lines = answer.text.trim().split('\n').map(line => line.trim().replace(/^(\w+) +(?=\S)/, '$1, ').replace(/ {2,}/g, ': ')).join('; ');
  if (answer.is_settled) notice(`Settled, and removed from quarantine: ${lines}`);
  else notice(`It stays in quarantine: ${lines}`, true);
  state.quarantineDepth = null;
  refresh();
}

// What only a local stack has

function faultItem({ name, mode, rate, seconds }) {
  const names = { dynamodb: 'DynamoDB', sqs: 'SQS', secrets: 'Secrets Manager', eventbridge: 'Event bus' };
  const modes = { error: 'answers 500', throttle: 'throttles', timeout: 'never answers', reset: 'resets the connection' };
  const share = rate < 1 ? `, in ${Math.round(rate * 100)} % of the calls` : '';
  return h('li', { 'data-test': 'fault-active', 'data-service': name }, h('span', { class: 'badge failed' }, names[name] ?? name), ` ${modes[mode] ?? mode}${share}`, h('span', { class: 'ago' }, `${duration(seconds)} left`));
}

let hasFaults = false;
async function faults(answer) {
  const active = Object.entries(answer ?? await call('GET', 'faults')).map(([name, fault]) => ({ name, mode: fault.mode, rate: number(fault.rate), seconds: Math.ceil(number(fault.for_seconds)) }));
  hasFaults = active.length > 0;
  sync($('faults'), hasFaults ? active : [], fault => fault.name, faultItem);
  $('fault-clear').hidden = !hasFaults;
}

const number = value => typeof value === 'object' ? Number(value.digits) : value;

function sendNote(events) {
  const event = events.find(event => event.name === $('send-select').value);
  if (!event) return '';
  if (event.forged) return 'Forged: its signature or token is wrong on purpose, so it must be refused.';
  return event.after.length ? `It comes after ${event.after.join(', ')}. Send that first.` : '';
}

async function events() {
  const events = await call('GET', 'events');
  const select = $('send-select'), chosen = select.value;
  const groups = new Map();
  for (const event of events) {
    const [provider] = event.name.split('/');
    if (!groups.has(provider)) groups.set(provider, h('optgroup', { label: provider }));
    groups.get(provider).append(h('option', { value: event.name }, visible(event.name) + (event.forged ? ' (forged)' : '')));
  }
  select.replaceChildren(...groups.values());
  const wanted = [chosen, 'plain/customer-created'].find(name => events.some(event => event.name === name));
  if (wanted) select.value = wanted;
  select.onchange = () => { $('send-note').textContent = sendNote(events); };
  select.onchange();
  if (!events.length) $('send-note').textContent = 'This stack has no event files. Start it with --events.';
  return events;
}

async function send() {
  const name = $('send-select').value;
  if (!name) throw new Problem('Choose an event first.');
  const { status, body } = await call('POST', 'send', { case: name });
  let outcome = '';
  try {
    const answer = JSON.parse(body);
    outcome = answer.outcome ?? Object.entries(answer.outcomes ?? {}).map(([word, count]) => `${count} ${word}`).join(', ');
  } catch { outcome = status === 204 ? 'ignored' : ''; }
  notice(`${name}: status ${status}${outcome ? `, ${outcome}` : ''}`, status >= 500);
}

async function replay() {
  const { replayed } = await call('POST', 'replay');
  notice(replayed ? `Replay settled ${replayed} message${replayed === 1 ? '' : 's'} of the inbox.` : 'Replay settled nothing: no message of the inbox is visible now.');
  refresh();
}

async function sweep() {
  const { sent, failed } = await call('POST', 'sweep');
  if (failed) notice(`The sweep sent ${sent} cleanup messages and could not send ${failed}.`, true);
  else notice(sent ? `The sweep sent ${sent} cleanup message${sent === 1 ? '' : 's'}.` : 'The sweep had nothing to do: no cleanup message is waiting in a tombstone.');
  refresh();
}

// Putting it together

let refreshTimer;
/** Loads again what may have changed. */
function refresh() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => {
    load($('queues'), queues);
    // The table of a deployed stack is read only when somebody asks, and a check calls AWS a few dozen times.
    if (!isLocal()) return;
    load($('doctor'), doctor);
    load($('customer-rows'), customers);
    load($('faults'), () => faults());
    if (state.open) detail(state.open, false);
  }, 120);
}

const isLocal = () => state.stack?.kind === 'local';

async function start() {
  const stack = await call('GET', 'stack');
  state.stack = stack;
  connection(true);
  const isDeployed = stack.kind !== 'local';
  for (const element of document.querySelectorAll('[data-only]')) element.hidden = isDeployed;
  document.querySelector('main').hidden = false;
  $('stack-name').replaceChildren(visible(isDeployed ? `stack ${stack.name} · ${stack.region} · account ${stack.account}` : 'local stack'));
  if (isDeployed) $('subtitle').textContent = 'A deployed stack, with your credentials. Only “Redrive” changes anything.';
  document.title = isDeployed ? visible(`clientele: ${stack.name}`) : 'clientele: local stack';
  const { webhooks, dynamodb, sqs } = stack.ports ?? {}, host = location.hostname;
  $('about').replaceChildren(visible(isDeployed ? `clientele ${stack.version}, table ${stack.table}`
    : `clientele ${stack.version}. Webhooks: http://${host}:${webhooks}/webhooks/…  DynamoDB: http://${host}:${dynamodb}, table ${stack.table}.  SQS: http://${host}:${sqs}.`));
  const select = $('search-provider'), chosen = select.value;
  select.replaceChildren(h('option', { value: '' }, 'all'), ...stack.providers.map(name => h('option', { value: name }, visible(name))));
  select.value = chosen;
  load($('queues'), queues);
  if (isLocal()) {
    load($('doctor'), doctor);
    load($('customer-rows'), customers);
    load($('faults'), () => faults());
    await events();
  } else if (!state.listed) {
    $('customer-rows').replaceChildren(empty('Search for a customer. An empty search lists those that changed last, and reads up to 10,000 customers for it.'));
  }
}

async function begin() {
  try { await start(); } catch (error) {
    if (!(error instanceof Problem)) throw error;
    notice(error.message, true);
    connection(false);
    setTimeout(begin, 2000);
    return;
  }
  $('notice').hidden = true;
  if (isLocal()) listen();
  route();
}

function tick() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll('[data-at]')) {
    const text = ago(Number(element.dataset.at));
    if (element.textContent !== text) element.textContent = text;
  }
  if (hasFaults) load($('faults'), () => faults());
}

const submit = (id, action) => $(id).addEventListener('submit', event => { event.preventDefault(); act(event.submitter, action); });
const click = (id, action) => $(id).addEventListener('click', event => act(event.currentTarget, action));

submit('send-form', send);
submit('fault-form', async () => {
  const request = { service: $('fault-service').value, mode: $('fault-mode').value, rate: 1, for_seconds: Number($('fault-seconds').value) };
  await faults(await call('POST', 'faults', request));
});
click('fault-clear', async () => faults(await call('DELETE', 'faults')));
click('replay', replay);
click('sweep', sweep);
click('quarantine-refresh', quarantine);
click('doctor-check', doctor);
click('more', () => { state.query.limit = Math.min(1000, state.query.limit * 4); return customers(); });
click('customer-close', close);
click('dismiss', () => { $('notice').hidden = true; });
submit('search-form', () => {
  const text = $('search-input').value.trim();
  if (/^[a-z0-9_-]+#[^#]+#[^#]+$/.test(text)) return show(text);
  state.query = { text, provider: $('search-provider').value, limit: 50 };
  return customers();
});
$('search-provider').addEventListener('change', () => $('search-form').requestSubmit());
addEventListener('keydown', event => { if (event.key === 'Escape' && state.open && !$('confirm').open) close(); });
addEventListener('hashchange', route);
addEventListener('visibilitychange', () => { if (!document.hidden) { tick(); refresh(); } });
$('legend').replaceChildren(...Object.entries(OUTCOMES).slice(0, 9).flatMap(([word, meaning]) => [h('dt', {}, badge(word)), h('dd', {}, meaning)]));
deliveries([]);
changes([]);

const fragment = /^#token=([0-9a-f]+)$/.exec(location.hash);
if (fragment) {
  sessionStorage.setItem('token', fragment[1]);
  history.replaceState(null, '', location.pathname);
}
token = sessionStorage.getItem('token') ?? '';
setInterval(tick, 1000);
setInterval(() => { if (!document.hidden && state.stack) refresh(); }, 10000);
begin();
