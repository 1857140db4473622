// The way of a user through a workbench, in a real Chromium: node walk.js '{"address": …}'.
// Prints one line of JSON a finding; exit status 1 where something is wrong.
const { chromium } = require('playwright-core');
const fs = require('fs');
const told = JSON.parse(process.argv[2]);
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const wrong = [];
const say = (what, value) => console.log(JSON.stringify({ what, value }));
const fail = (what, value) => { wrong.push(what); say(`WRONG: ${what}`, value); };

(async () => {
  const browser = await chromium.launch({
    executablePath: told.browser,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
  const own = new URL(told.address).origin;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const tab = await context.newPage();
  tab.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') fail('console', m.text()); });
  tab.on('pageerror', (e) => fail('script', String(e)));
  tab.on('requestfailed', (r) => { if (!/ERR_ABORTED/.test(r.failure().errorText)) fail('request failed', r.url()); });
  tab.on('request', (r) => {
    const to = new URL(r.url());
    if (!['data:', 'blob:'].includes(to.protocol) && to.origin !== own) fail('other host', r.url());
  });
  tab.on('response', (r) => { if (r.status() >= 400) fail('status', `${r.status()} ${r.url()}`); });

  const look = async (name) => {
    for (const scheme of ['light', 'dark']) {
      for (const size of [{ width: 1280, height: 800 }, { width: 820, height: 1180 }]) {
        await tab.emulateMedia({ colorScheme: scheme });
        await tab.setViewportSize(size);
        await tab.waitForTimeout(120);
        const found = await rules();
        for (const v of found) fail(`axe ${name} ${scheme} ${size.width}`, v);
        const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
        if (wide > size.width) fail(`scrolls sideways: ${name} at ${size.width}`, wide);
        if (told.pictures) {
          await tab.evaluate(() => window.scrollTo(0, 0));
          await tab.screenshot({ path: `${told.pictures}/${name}-${scheme}-${size.width}.png`, fullPage: /^(scan|study-running)/.test(name) });
        }
      }
    }
    await tab.emulateMedia({ colorScheme: 'light' });
    await tab.setViewportSize({ width: 1280, height: 800 });
    const title = await tab.title();
    if (!title) fail('no title', name);
  };
  // the page's policy forbids scripts from elsewhere: axe is put in by the debugger's own world
  const session = await context.newCDPSession(tab);
  const rules = async () => {
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
    await session.send('Runtime.evaluate', { expression: axe, contextId: executionContextId });
    const answer = await session.send('Runtime.evaluate', {
      expression: `axe.run(document).then(f => JSON.stringify(f.violations.map(v => [v.id, v.nodes.length, v.nodes[0].target.join(' '), v.help])))`,
      contextId: executionContextId, awaitPromise: true, returnByValue: true,
    });
    if (answer.exceptionDetails) { fail('axe did not run', answer.exceptionDetails.exception?.description); return []; }
    return JSON.parse(answer.result.value);
  };

  const scans = async () => {
    await tab.goto(`${own}/scans/${told.scan}`, { waitUntil: 'networkidle' });
    await tab.waitForSelector('#scan:not([hidden])');
    await tab.waitForTimeout(800);
    await look('scan');
    const number = () => tab.locator('[data-plane=axial] [data-number]').innerText();
    const path = () => tab.locator('[data-plane=axial] [data-outline]').getAttribute('d');
    if (!await path()) fail('no outline of the lesion', await number());
    if (!await tab.locator('line.caliper.size').count()) fail('no reported size is drawn', await number());
    const before = await number();
    await tab.locator('[data-plane=axial] [data-slice]').hover();
    for (let k = 0; k < 60; k += 1) await tab.mouse.wheel(0, -100);
    await tab.waitForTimeout(500);
    if (await number() === before || await path()) fail('the wheel does not leave the lesion', [before, await number()]);
    await tab.locator('[data-plane=axial] [data-slice]').focus();
    await tab.keyboard.press('ArrowUp');
    if (await tab.locator('[data-plane=axial] image[data-ct]').getAttribute('href') === null) fail('no slice', '');
    say('scrolled a CT with its mask', before);
    if (told.pet) {
      await tab.click('#to-lesion');
      await tab.locator('#fused').evaluate((e) => { e.value = 60; e.dispatchEvent(new Event('input', { bubbles: true })); });
      await tab.waitForTimeout(600);
      await look('scan-fused');
      await tab.selectOption('#window', 'pet');
      await tab.waitForTimeout(400);
      await tab.selectOption('#window', 'mediastinum');
    }
    if (!told.accept) return;
    await tab.click('#to-lesion');
    await tab.click('#ask');
    await tab.waitForSelector('#found:not([hidden])', { timeout: 240000 });
    say('a click found the lesion', await tab.locator('#found-lines dd').first().innerText());
    await look('scan-found');
    if (await tab.locator('#reader').count()) await tab.fill('#reader', 'AB');
    await tab.fill('#reason', 'the outline of the table leaves out a part');
    await tab.click('#accept button');
    await tab.waitForSelector('text=The lesion is accepted');
    say('accepted the lesion', true);
  };
  const compare = async () => {
    const select = tab.locator('[data-compare]').first();
    const polygons = () => tab.evaluate(() => {
      const { layers } = window.workbenchSlide;
      return Object.entries(layers).filter(([k]) => k.startsWith('aligned')).map(([, l]) => l._croppingPolygons?.length ?? 0)[0];
    });
    await select.selectOption('swipe');
    await tab.waitForTimeout(900);
    if (await polygons() !== 1) fail('no swipe', await polygons());
    const edge = () => tab.evaluate(() => Object.entries(window.workbenchSlide.layers).find(([k]) => k.startsWith('aligned'))[1]._croppingPolygons[0][0].x);
    const before = await edge();
    await tab.locator('[data-swipe]').first().evaluate((e) => { e.value = 20; e.dispatchEvent(new Event('input', { bubbles: true })); });
    if (!(await edge() < before)) fail('the edge does not move', before);
    await look('slide-swipe');
    await select.selectOption('squares');
    await tab.waitForTimeout(500);
    if (await polygons() < 6) fail('no checkerboard', await polygons());
    if (told.pictures) await tab.screenshot({ path: `${told.pictures}/slide-squares.png` });
    await select.selectOption('beside');
    await tab.waitForFunction(() => window.workbenchBeside?.world.getItemCount() > 0);
    await tab.evaluate(() => { const v = window.workbenchViewer.viewport; v.zoomTo(6, null, true); v.panTo(new OpenSeadragon.Point(0.4, 0.5), true); });
    await tab.waitForTimeout(900);
    const apart = await tab.evaluate(() => {
      const [a, b] = [window.workbenchViewer, window.workbenchBeside].map((v) => [v.viewport.getZoom(), v.viewport.getCenter().x, v.viewport.getCenter().y]);
      return Math.max(...a.map((x, k) => Math.abs(x - b[k])));
    });
    if (!(apart < 1e-6)) fail('pan and zoom are not linked', apart);
    await tab.locator('#beside').hover();
    await tab.mouse.wheel(0, -300);
    await tab.waitForTimeout(900);
    const both = await tab.evaluate(() => [window.workbenchViewer, window.workbenchBeside].map((v) => v.viewport.getZoom()));
    if (!(both[0] > 6 && Math.abs(both[0] - both[1]) < 1e-6)) fail('the section does not lead the slide', both);
    await look('slide-beside');
    say('swipe, checkerboard and side by side', true);
    await select.selectOption('over');
    await tab.click('#zoom-all');
    await tab.waitForTimeout(600);
  };
  const ruler = async () => {
    await tab.click('#ruler');
    await tab.locator('#viewer').focus();
    const box = await tab.locator('#viewer').boundingBox();
    await tab.mouse.click(box.x + box.width * 0.4, box.y + box.height * 0.5);
    await tab.waitForTimeout(200);
    await tab.mouse.click(box.x + box.width * 0.6, box.y + box.height * 0.5);
    await tab.waitForTimeout(200);
    const text = await tab.locator('#measured').innerText();
    const expected = await tab.evaluate((px) => {
      const { told } = window.workbenchSlide, v = window.workbenchViewer;
      return (px / (v.element.clientWidth * v.viewport.getZoom())) * told.width * told.mpp;
    }, box.width * 0.2);
    const found = parseFloat(text) * (/mm/.test(text) ? 1000 : 1);
    if (!(Math.abs(found / expected - 1) < 0.05)) fail('the ruler', [text, expected]);
    say('measured a distance', true);
    await tab.click('#ruler');
  };
  const overrule = async () => {
    await tab.goto(`${own}/review?kept=yes${told.item ? `&patient=${told.item}` : ''}`, { waitUntil: 'networkidle' });
    const item = tab.locator('ul.queue li', { hasText: told.overrule }).first();
    await item.locator('summary').click();
    if (await item.locator('input[name=reader]').count()) await item.locator('input[name=reader]').fill('AB');
    await item.locator('textarea').fill('looked at again on the workstation');
    await item.locator('button').click();
    await tab.waitForSelector('text=The decision is written');
    say('overruled a verdict', told.overrule);
  };
  const run = async () => {
    await tab.goto(`${own}/`, { waitUntil: 'networkidle' });
    await tab.waitForFunction(() => !document.querySelector('#standing .busy'), null, { timeout: 60000 });
    if (!/not up to date/.test(await tab.locator('#standing').innerText())) fail('nothing is pending', '');
    const before = await tab.locator('footer').innerText();
    await tab.click('#run button');
    await tab.waitForSelector('text=Stop the run');
    await tab.waitForSelector('#run progress', { timeout: 120000 });
    await look('study-running');
    await tab.waitForFunction((b) => document.querySelector('footer').innerText !== b && !document.querySelector('#run [hx-get]') && !/Stop the run/.test(document.querySelector('#run').innerText), before, { timeout: 1500000 });
    await tab.waitForFunction(() => document.querySelector('#standing') && !document.querySelector('#standing .busy'), null, { timeout: 120000 });
    if (!/up to date: a run/.test(await tab.locator('#standing').innerText())) fail('not up to date after the run', await tab.locator('#standing').innerText());
    say('ran the pending steps from the page', (await tab.locator('footer').innerText()) !== before);
    if (told.download) {
      const [file] = await Promise.all([tab.waitForEvent('download'), tab.click(`a[href="/download/${told.download}"]`)]);
      const size = fs.statSync(await file.path()).size;
      if (!size) fail('an empty download', told.download);
      say('downloaded', told.download);
    }
    for (const [address, text] of told.after ?? []) {
      await tab.goto(`${own}${address}`, { waitUntil: 'networkidle' });
      if (!(await tab.locator('main').innerText()).includes(text)) fail(`not on ${address} after the run`, text);
    }
  };

  await tab.goto(told.address, { waitUntil: 'networkidle' });
  if (told.login) {
    await look('login');
    await tab.fill('#name', told.login.name);
    await tab.fill('#password', told.login.password);
    await tab.click('form.stacked button');
    await tab.waitForLoadState('networkidle');
    say('logged in', told.login.name);
  }
  if (await tab.locator('h1').innerText() !== 'Study') fail('not let in', await tab.title());
  const end = async () => {
    await browser.close();
    say('done', wrong.length);
    process.exit(wrong.length ? 1 : 0);
  };
  if (told.only === 'scans') {
    await scans();
    await end();
  }
  await tab.waitForFunction(() => !document.querySelector('#standing .busy'), null, { timeout: 60000 });
  await look('study');

  const counts = tab.locator('ol.flow a.count');
  const count = counts.nth(told.count ?? 1);
  const number = parseInt(await count.innerText(), 10);
  await count.click();
  await tab.waitForSelector('table.list');
  const rows = await tab.locator('table.list tbody tr').count();
  if (rows !== Math.min(number, 100)) fail('count and list differ', [number, rows]);
  say('flow count opens as many patients', number);
  await tab.goto(`${own}/patients`, { waitUntil: 'networkidle' });
  await Promise.all([tab.waitForResponse((r) => /\/patients\?/.test(r.url())), tab.fill('#q', told.search ?? 'P')]);
  await tab.waitForTimeout(400);
  await Promise.all([tab.waitForResponse((r) => /order=centre/.test(r.url())), tab.selectOption('#order', 'centre')]);
  await tab.waitForTimeout(400);
  await look('patients');
  await tab.locator('h1').click();
  await tab.keyboard.press('j');
  await tab.keyboard.press('ArrowDown');
  const focused = await tab.evaluate(() => document.activeElement.getAttribute('href'));
  if (!/^\/patients\/P[0-9a-f]{16}/.test(focused ?? '')) fail('rows by keyboard', focused);
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#risk-h');
  const first = tab.url();
  await tab.keyboard.press('ArrowRight');
  await tab.waitForURL((u) => u.href !== first);
  say('patient to patient by keyboard', true);
  if (told.patient) await tab.goto(`${own}/patients/${told.patient}`, { waitUntil: 'networkidle' });
  if (!/Research only/.test(await tab.locator('main').innerText())) fail('no research-only notice', tab.url());
  await look('patient');

  if (told.slide) {
    const levels = new Set();
    tab.on('request', (r) => { const m = /\/tiles\/(\d+)\//.exec(r.url()); if (m) levels.add(+m[1]); });
    await tab.goto(`${own}/slides/${told.slide}`, { waitUntil: 'networkidle' });
    await tab.waitForFunction(() => window.workbenchViewer?.world.getItemCount() > 0);
    await tab.waitForTimeout(900);
    await look('slide');
    await tab.click('#zoom-full');
    await tab.waitForTimeout(1200);
    const most = await tab.evaluate(() => JSON.parse(document.getElementById('told').textContent).maxLevel);
    if (!levels.has(most)) fail('level 0 of the slide was not asked for', [...levels]);
    say('zoomed to full resolution', most);
    await tab.click('#zoom-all');
    for (const [layer, value] of told.layers ?? []) {
      const input = tab.locator(`[data-layer=${layer}]`).first();
      await input.evaluate((e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }, value);
      await tab.waitForTimeout(1200);
    }
    await tab.locator('#viewer').hover();
    if (!/µm/.test(await tab.locator('#where').innerText())) fail('no coordinates', '');
    const items = await tab.evaluate(() => window.workbenchViewer.world.getItemCount());
    if (items !== 1 + (told.layers ?? []).length) fail('layers over the slide', items);
    say('layers over the slide', items - 1);
    await look('slide-layers');
    if (told.compare) await compare();
    await ruler();
  }
  if (told.scan) await scans();
  await tab.goto(`${own}/review`, { waitUntil: 'networkidle' });
  await look('review');
  if (told.overrule) await overrule();
  if (told.run) await run();
  await tab.goto(`${own}/readings`, { waitUntil: 'networkidle' });
  await look('readings');
  await tab.goto(`${own}/model`, { waitUntil: 'networkidle' });
  await look('model');
  const threshold = tab.locator('#threshold');
  if (await threshold.count()) {
    const before = await tab.locator('#decision').innerText();
    await threshold.focus();
    await tab.keyboard.press('ArrowLeft');
    await tab.waitForFunction((was) => document.querySelector('#decision').innerText !== was, before, { timeout: 5000 })
      .catch(() => fail('the threshold moves nothing', before));
  }
  await tab.goto(`${own}/audit`, { waitUntil: 'networkidle' });
  await look('audit');
  await end();
})().catch((error) => { console.error(error); process.exit(2); });
